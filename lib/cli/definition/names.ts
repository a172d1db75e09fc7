/** Gives the name of a field that is below another, or with no key the name of that one. */
export type Naming = (key?: string) => string;

/**
 * How the fields of a definition are called by whoever wrote it. The model speaks of `osdisk.man`; in the file that may
 * be `disks[1].management`, and on a command line `--disk management`.
 */
export class Names {
  readonly #namings = new Map<string, Naming>();

  /** @param field in the words of the model, such as `disks[0]` or `memory.total` */
  add(field: string, naming: Naming): void {
    this.#namings.set(field, naming);
  }

  /** The name to show for a field of the model: by the longest part of it that has a naming. */
  of(field: string): string {
    for (let end = field.length; end > 0; end = field.lastIndexOf(".", end - 1)) {
      const naming = this.#namings.get(field.slice(0, end));
      if (naming !== undefined) return naming(field.slice(end + 1) || undefined);
    }
    return field;
  }
}
