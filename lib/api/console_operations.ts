import { z } from "@hono/zod-openapi";
import { CONSOLE_CLOSE, CONSOLE_CLOSE_MEANINGS, CONSOLE_PROTOCOL, INPUT_WINDOW } from "./console_protocol.ts";
import type { ConsoleDesk } from "./console_desk.ts";
import type { Endpoints } from "./endpoints.ts";
import { Problem, PROBLEM_JSON } from "./problem.ts";

const ConsoleQuery = z.strictObject({
  force: z.enum(["true", "false"]).optional().openapi({
    description: "true: take the console from the user who has it",
  }),
});

const codes = Object.entries(CONSOLE_CLOSE)
  .map(([name, code]) => `- ${code}: ${CONSOLE_CLOSE_MEANINGS[name as keyof typeof CONSOLE_CLOSE]}`)
  .join("\n");

/** The guests' consoles. */
export function addConsoleOperations(endpoints: Endpoints, desk: ConsoleDesk): void {
  endpoints.add({
    id: "VmConsole",
    method: "get",
    path: "/vms/{uuid}/console",
    tag: "VMs",
    summary: "Use the serial console of a VM, as a WebSocket",
    description:
      `A WebSocket (RFC 6455) with the sub-protocol \`${CONSOLE_PROTOCOL}\`, from any host. Binary messages from the host are ` +
      "what the guest prints from now on, those to it are what is typed, byte for byte and cut up anyhow. One user at a time " +
      "has the console.\n\n" +
      `The host takes input at the pace of a serial line of 115,200 baud. A client may have sent ${INPUT_WINDOW} bytes that ` +
      'the line has not taken yet; one that wants to send more heeds the host\'s texts: `{"taken": n}` says how many bytes ' +
      "have been taken since the beginning. The guest is never held up: a client that is 1 MiB behind is cut off.\n\n" +
      `How it ends is told by a code and a reason. 1001: virtxd stops; connect again, to any host.\n${codes}`,
    query: ConsoleQuery,
    headers: {
      "Sec-WebSocket-Protocol": { description: "May be left out", example: CONSOLE_PROTOCOL },
    },
    streams: true,
    answers: {
      101: { description: "The console is open" },
      426: { description: "The request is no request for a WebSocket", schema: Problem, type: PROBLEM_JSON },
    },
    failures: ["conflict", "refused", "unavailable", "unreachable", "timeout", "loop"],
  }, ({ uuid, query, exchange }) => desk.serve(uuid, query.force === "true", exchange));
}
