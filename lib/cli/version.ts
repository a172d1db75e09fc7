/** What `virtxd --version` prints. */
export function versionText(version: string): string {
  const { deno, v8 } = Deno.version;
  return `virtxd ${version}\ndeno ${deno}, v8 ${v8}, ${Deno.build.target}\n`;
}
