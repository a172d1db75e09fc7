/** Run by a test: makes an open and a call fail, and says of what kind the failures are. */
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { refusal } from "../../support/libvirt_connections.ts";

const log = silentLogger;
const unreachable = await refusal(Hypervisor.open({ uri: "nonsense:///", log }));
await using hypervisor = await Hypervisor.open({ uri: "test:///default", log });
const unknown = await refusal(hypervisor.start("00000000-0000-4000-8000-000000000000"));
await Deno.stdout.write(new TextEncoder().encode(`${unreachable.kind} ${unknown.kind}\n`));
