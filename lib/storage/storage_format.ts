/**
 * The lowest format of what is on the storage that a host has to be able to write, below its root: a whole number. Today nobody
 * writes it, and it is 1 where there is none. A version that writes what earlier ones do not honour will raise it, when
 * all hosts can.
 */
export const FORMAT_FILE = ".virtxd/format";

/** The newest format that this version writes. */
export const WRITTEN_FORMAT = 1;

const NUMBER = /^\s*([1-9]\d{0,8})\s*$/;

/**
 * Why this version may not write, by the content of that file, and what to do, in words that follow its path; undefined: it may.
 * @param content undefined: there is no such file
 * @param host what people call this host
 */
export function formatFlaw(content: Uint8Array | undefined, host: string): string | undefined {
  if (content === undefined) return undefined;
  const [, digits] = NUMBER.exec(new TextDecoder().decode(content)) ?? [];
  if (digits === undefined) {
    return `has no format number in it, so that host ${host} cannot tell whether it may change anything: ` +
      `write ${WRITTEN_FORMAT} into it, unless a later version of virtxd has raised it`;
  }
  const format = Number(digits);
  if (format <= WRITTEN_FORMAT) return undefined;
  return `says format ${format}, and the virtxd of host ${host} writes ${WRITTEN_FORMAT}: install a later version there`;
}
