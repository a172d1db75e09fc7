/** The binary units (IEC 80000-13) of sizes, smallest first, in MiB; and the letters that stand for them. */
const UNITS = [
  { name: "KiB", letter: "k", mib: 1 / 1024 },
  { name: "MiB", letter: "m", mib: 1 },
  { name: "GiB", letter: "g", mib: 1024 },
  { name: "TiB", letter: "t", mib: 1024 * 1024 },
  { name: "PiB", letter: "p", mib: 1024 * 1024 * 1024 },
] as const;

/** A size that a text states, MiB; or what keeps it from being one, to be read after the field's name. */
export type SizeReading = { readonly mib: number } | { readonly problem: string };

/**
 * Reads a size: "16GiB", "1.5 GiB", "512M", "16g". It must come to whole MiB. Units of 1000 are refused, because whoever
 * writes GB seldom means them and rarely gets whole MiB; a number alone is, because who writes 2 means GiB.
 *
 * @param bare whether a number alone is MiB, as it is to the prototype
 */
export function parseSize(text: string, { bare = false } = {}): SizeReading {
  const [, number = "", word = ""] = /^(\d{1,15}(?:\.\d{1,15})?) ?([a-z]*)$/i.exec(text.trim()) ?? [];
  if (number === "") {
    return { problem: "must be a size such as 512MiB or 16GiB" };
  }
  if (word === "" && !bare && Number(number) !== 0) {
    return { problem: `must have a unit: ${number}MiB or ${number}GiB?` };
  }
  const letter = word === "" ? "m" : word.toLowerCase().replace(/(?<=^.)(i|ib)$/, "");
  const unit = UNITS.find((unit) => unit.letter === letter);
  if (unit === undefined) {
    const meant = UNITS.find((unit) => `${unit.letter}b` === letter);
    if (meant === undefined) {
      return { problem: "must have the unit KiB, MiB, GiB or TiB" };
    }
    return { problem: `must be in units of 1024: did you mean ${number}${meant.name}?` };
  }
  const mib = Number(number) * unit.mib;
  if (!Number.isInteger(mib)) return { problem: "must be a whole number of MiB" };
  return { mib };
}

/**
 * A size exactly, in the largest unit in which it has at most two decimals: "2 GiB", "1.5 GiB", "1537 MiB". What
 * {@link parseSize} makes of the text is the same size again.
 *
 * @param space between number and unit
 */
export function formatSize(mib: number, space = " "): string {
  const unit = UNITS.findLast((unit) =>
    unit.mib >= 1 && mib >= unit.mib && Number.isInteger(mib / unit.mib * 100)
  );
  return `${mib / (unit?.mib ?? 1)}${space}${unit?.name ?? "MiB"}`;
}
