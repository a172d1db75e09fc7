/** Listens on the unix socket that the argument names, with the permissions that it is run with; says what is in the way. */
import { Listeners } from "../../lib/api/listen.ts";
import { errorMessage } from "../../lib/model/error.ts";
import { apiFixture } from "./api_fixture.ts";

try {
  await using _ = await Listeners.open(apiFixture().app, [{ path: Deno.args[0] ?? "" }]);
} catch (error) {
  Deno.stdout.writeSync(new TextEncoder().encode(`${errorMessage(error)}\n`));
}
