/** Writes to standard output, whole. A reader that has gone (`virtxd --help | head -1`) is no error. */
export function printOut(text: string): void {
  print(Deno.stdout, text);
}

/** The same for standard error. */
export function printError(text: string): void {
  print(Deno.stderr, text);
}

function print(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
