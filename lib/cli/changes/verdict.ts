import { Fields } from "../server/fields.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { plain } from "../output/plain.ts";
import type { Cluster } from "../server/cluster.ts";
import type { Change } from "./change.ts";

/**
 * Asks a host what it says to a definition, and shows it on standard error; ok: it could be done.
 * @param path of the change itself: /vms or /vms/{uuid}, with what it is asked with
 */
export async function showVerdict(
  { err, options }: Context,
  cluster: Cluster,
  change: Pick<Change, "method" | "path" | "body">,
): Promise<ExitCode> {
  const separator = change.path.includes("?") ? "&" : "?";
  const path = `${change.path}${separator}dry_run=true`;
  const { body } = await cluster.server.request(change.method, path, change.body);
  const verdict = new Fields(body, "what the host says to the definition");
  const host = plain(verdict.text("name"));
  const obstacles = verdict.list("obstacles");
  const { colours } = err;
  const show = (issue: Fields, mark: string) => {
    const field = issue.text("field").replace(/^vmdef\./, "");
    err.line(`${mark} ${plain(field)}: ${plain(issue.text("message"))}`);
  };
  for (const obstacle of obstacles) show(obstacle, colours.paint("refused:", "red"));
  for (const warning of verdict.list("warnings")) show(warning, colours.paint("warning:", "yellow"));
  if (verdict.raw("fits") !== true) {
    err.line(`Host ${host} would refuse this.`);
    return ExitCode.refused;
  }
  if (!options.quiet) err.line(`Host ${host} can do this; nothing was done.`);
  return ExitCode.ok;
}
