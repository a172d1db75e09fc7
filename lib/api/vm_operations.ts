import type { z } from "@hono/zod-openapi";
import { DiskProvisioning } from "../model/enums.ts";
import type { FieldIssue } from "../model/error.ts";
import { newNameProblem, validateVmdef } from "../model/validate.ts";
import { allDisks, type Vmdef } from "../model/vm.ts";
import { importedUuid } from "../vm/imports.ts";
import { unwiped } from "../vm/disks.ts";
import type { ChangeOutcome, HostUseCases, VmUseCases } from "../vm/use_cases.ts";
import { definitionTag } from "../vm/definition_tag.ts";
import type { Endpoints } from "./endpoints.ts";
import { entityTag, readIfMatch } from "./if_match.ts";
import type { Answer } from "./operation.ts";
import { TRASH_HEADER } from "./passing.ts";
import { headerText, respondEmpty, respondJson } from "./respond.ts";
import { Uuid } from "./schema_common.ts";
import { DefinitionQuerySchema, DomainNameQuery, permissionsOf } from "./schema_query.ts";
import {
  DefinitionVerdictSchema,
  ImportVerdictSchema,
  LibvirtDomainsSchema,
  UUID_OR_NOTHING,
  VmCreateOptionsSchema,
  VmDeleteOptionsSchema,
  VmImportOptionsSchema,
  VmRegisterOptionsSchema,
  VmSchema,
  VmUpdateOptionsSchema,
  XML_MAX,
} from "./schema_vm.ts";
import type { Tracking } from "./tracking.ts";
import { VM_CREATE_EXAMPLE } from "./vm_example.ts";

const OFF = "Needs a VM that is off: poweroff or crashed.";

const IF_MATCH = {
  "If-Match": {
    description: "The ETag of VmGet: the change is made only if the definition is still that one (412)",
    example: '"5d41402abc4b2a76b9719d911017c592"',
  },
};

const TRASH_HEADERS = {
  "X-VirtX-Trash-Until":
    "Until when what was deleted of its storage can be restored (GET /trash), UTC milliseconds; left out: nothing can",
};

const LOCKED = "its screen lets nobody in, as the registry has no passwords; virsh edit can set a new one";

/** Of a change that took effect. */
const CHANGED = {
  200: {
    description: "Done, but some storage could not be removed",
    headers: { Warning: "What was left, and why", ...TRASH_HEADERS },
  },
  204: { description: "Done", headers: TRASH_HEADERS },
} as const satisfies Readonly<Record<number, Answer>>;

const DRY_RUN: Answer = {
  description: "With dry_run: what would be in the way, and what may surprise",
  schema: DefinitionVerdictSchema,
};

/** What is done with definitions of VMs (protocol.md §1): create, get, update, delete, register. */
export function addVmOperations(
  endpoints: Endpoints,
  o: {
    readonly vms: VmUseCases;
    readonly tracking: Tracking;
    /** Left out: nothing is told of a VM whose host is away. */
    readonly hosts?: HostUseCases | undefined;
    /** The host that a VM is on, as far as is known. */
    readonly hostOf: (vm: string) => string | undefined;
  },
): void {
  const { vms, tracking, hosts, hostOf } = o;

  endpoints.add({
    id: "VmCreate",
    method: "post",
    path: "/vms",
    tag: "VMs",
    summary: "Create a VM",
    description:
      "Provisions the disks, defines the VM and registers it on shared storage; answers when all is done. Other than with the " +
      "prototype, a name that another VM has is refused, unless it is asked for.",
    query: DefinitionQuerySchema,
    body: {
      schema: VmCreateOptionsSchema,
      rules: checkNewVmdef,
      example: VM_CREATE_EXAMPLE,
    },
    answers: {
      200: DRY_RUN,
      201: {
        description: "The UUID of the new VM",
        schema: Uuid,
        headers: { Location: "Its path", Warning: "Which LUNs are not wiped, though the prototype would" },
      },
    },
    at: ({ body }) => body.host,
    tracked: true,
    patience: "storage",
    failures: ["cancelled", "duplicate", "conflict", "refused", "unavailable", "timeout", "storage"],
  }, async (input) => {
    const options = { ...input.body, ...permissionsOf(input.query) };
    if (input.query.dry_run === "true") return respondJson(200, await vms.checkCreate(options));
    const response = await tracking.answer(input, {
      run: (uuid, control) => vms.create(options, uuid, control),
      needsStorage: true,
      answer: respondCreated,
    });
    // Also with the answer that it goes on, as its result is the UUID alone.
    warn(response, unwiped(allDisks(options.vmdef).filter(({ prov }) => prov !== DiskProvisioning.none)));
    return response;
  });

  endpoints.add({
    id: "VmGet",
    method: "get",
    path: "/vms/{uuid}",
    tag: "VMs",
    summary: "Definition, state and figures of a VM",
    description:
      "Of a VM that other tools have made, what this API has no word for is told as kind:what, such as the disk rbd:pool/image " +
      "or the bridge direct:eth0: VmUpdate keeps it as it is, or removes it. Of a VM whose host is away any host answers with the " +
      "definition that is registered on the shared storage.",
    answers: {
      200: {
        description: "The VM",
        schema: VmSchema,
        headers: {
          ETag: "Of the definition alone, whatever the state and the figures: for If-Match of a change",
        },
      },
    },
    at: ({ uuid }) => hosts?.hasAway(uuid) ? undefined : hostOf(uuid),
    failures: ["refused", "unavailable", "timeout", "storage"],
  }, async ({ uuid }) => {
    const vm = hosts?.hasAway(uuid) ? await hosts.getAway(uuid) : await vms.get(uuid);
    const response = respondJson(200, vm);
    response.headers.set("etag", entityTag(definitionTag(vm.def)));
    return response;
  });

  endpoints.add({
    id: "VmImport",
    method: "post",
    path: "/vms/import",
    tag: "VMs",
    summary: "Make a VM of another tool one of the cluster",
    description:
      "A domain of libvirt's stays as it is: what is new is that its definition, its host and its disks are recorded on shared " +
      "storage. A definition in the request is defined as a new domain, if it reaches for nothing of the host that guests are not " +
      "given, and no VM has its UUID, name, MAC addresses or disks. No disk is moved or made. With dry_run: what would be kept, " +
      "changed and refused.",
    query: DefinitionQuerySchema,
    body: {
      schema: VmImportOptionsSchema,
      rules: checkImport,
      example: { host: "", vm: "7a1de39b-2b7a-4d0f-9d5c-3c1b0f6f7a10" },
    },
    answers: {
      200: { description: "With dry_run: what it would come to", schema: ImportVerdictSchema },
      201: { description: "The UUID of the VM", schema: Uuid, headers: { Location: "Its path" } },
    },
    at: ({ body }) => body.host,
    tracked: true,
    failures: ["duplicate", "conflict", "refused", "unavailable", "timeout", "storage"],
  }, async (input) => {
    const options = { ...input.body, ...permissionsOf(input.query) };
    const uuid = importedUuid(options) ?? "";
    if (input.query.dry_run === "true") {
      return respondJson(200, await vms.checkImport(options, uuid === "" ? crypto.randomUUID() : uuid));
    }
    return await tracking.answer({ ...input, uuid }, {
      run: (vm, control) => vms.import(options, vm, control),
      needsStorage: true,
      answer: respondCreated,
    });
  });

  endpoints.add({
    id: "HostDomains",
    method: "get",
    path: "/hosts/{uuid}/domains",
    tag: "Hosts",
    summary: "The VMs of a host that its libvirt calls by a name",
    description:
      "A VM that other tools have made, and given a title, has that as its name here; its users may know its name in libvirt.",
    query: DomainNameQuery,
    at: ({ uuid }) => uuid,
    answers: { 200: { description: "Those that have it: one, or none", schema: LibvirtDomainsSchema } },
    failures: ["unavailable", "timeout"],
  }, ({ query: { name } }) => {
    const items = vms.named(name).map((uuid) => ({ uuid, libvirtname: name }));
    return respondJson(200, { items });
  });

  endpoints.add(
    {
      id: "VmUpdate",
      method: "put",
      path: "/vms/{uuid}",
      tag: "VMs",
      summary: "Replace the definition of a VM",
      description: `${OFF} What the VM has already may stay, even where no other VM could get it: see VmGet.`,
      headers: IF_MATCH,
      query: DefinitionQuerySchema,
      body: {
        schema: VmUpdateOptionsSchema,
        example: { vmdef: VM_CREATE_EXAMPLE.vmdef, deletestorage: false },
      },
      answers: {
        ...CHANGED,
        200: {
          ...CHANGED[200],
          description: `${CHANGED[200].description}; or with dry_run what would be in the way`,
          schema: DefinitionVerdictSchema.optional(),
        },
      },
      at: "vm",
      tracked: true,
      patience: "storage",
      failures: [
        "stale",
        "cancelled",
        "duplicate",
        "conflict",
        "refused",
        "unavailable",
        "timeout",
        "storage",
      ],
    },
    async (input) => {
      const precondition = readIfMatch(input.request.headers);
      const options = { ...input.body, ...permissionsOf(input.query) };
      if (input.query.dry_run === "true") {
        return respondJson(200, await vms.checkUpdate(input.uuid, options, precondition));
      }
      return await tracking.answer(input, {
        run: (uuid, control) => vms.update(uuid, options, control, precondition),
        needsStorage: true,
        answer: respondChanged,
      });
    },
  );

  endpoints.add(
    {
      id: "VmDelete",
      method: "delete",
      path: "/vms/{uuid}",
      tag: "VMs",
      summary: "Delete a VM",
      description:
        `${OFF} Without a body its storage is kept. Storage that is deleted waits in the trash (GET /trash) for a while.`,
      headers: IF_MATCH,
      body: { schema: VmDeleteOptionsSchema, optional: true, example: { deletestorage: true } },
      answers: CHANGED,
      at: "vm",
      tracked: true,
      failures: ["stale", "conflict", "refused", "unavailable", "timeout"],
    },
    (input) =>
      tracking.answer(input, {
        run: (uuid) => vms.delete(uuid, input.body, readIfMatch(input.request.headers)),
        needsStorage: true,
        answer: respondChanged,
      }),
  );

  endpoints.add({
    id: "VmRegister",
    method: "put",
    path: "/vms/{uuid}/register",
    tag: "VMs",
    summary: "Bring the registry on shared storage and libvirt together",
    description:
      "A VM that libvirt knows is written to the registry; one that only the registry has is defined in libvirt. The registry has " +
      "no passwords: a screen that had one then lets nobody in until it gets a new one, and a Warning says so.",
    body: { schema: VmRegisterOptionsSchema, optional: true, example: { host: "" } },
    answers: {
      200: { description: "The registry was refreshed from libvirt" },
      201: {
        description: "The VM was defined in libvirt from the registry",
        headers: { Warning: "That its screen lets nobody in, and what helps" },
      },
    },
    at: ({ body }) => body.host,
    tracked: true,
    failures: ["conflict", "refused", "unavailable", "timeout", "storage"],
  }, (input) =>
    tracking.answer(input, {
      run: (uuid) => vms.register(uuid),
      needsStorage: true,
      answer: (outcome) => {
        const response = respondEmpty(outcome === "refreshed" ? 200 : 201);
        if (outcome === "locked") warn(response, LOCKED);
        return response;
      },
    }));
}

function checkNewVmdef({ vmdef }: { readonly vmdef: Vmdef }): readonly FieldIssue[] {
  const issues = validateVmdef(vmdef).map(({ field, message }) => ({ field: `vmdef.${field}`, message }));
  const message = newNameProblem(vmdef.name);
  return [...issues, ...message === undefined ? [] : [{ field: "vmdef.name", message }]];
}

function checkImport({ vm, xml, newids }: z.output<typeof VmImportOptionsSchema>): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];
  if ((vm === "") === (xml === "")) issues.push({ field: "vm", message: "one of vm and xml is to be given" });
  if (vm !== "" && !UUID_OR_NOTHING.test(vm)) issues.push({ field: "vm", message: "is no UUID" });
  if (xml.length > XML_MAX) issues.push({ field: "xml", message: `must have at most ${XML_MAX} characters` });
  if (newids && vm !== "") issues.push({ field: "newids", message: "is for definitions in xml" });
  return issues;
}

function respondCreated(uuid: string): Response {
  const response = respondJson(201, uuid);
  response.headers.set("location", `/vms/${uuid}`);
  return response;
}

function respondChanged({ warning, trash }: ChangeOutcome): Response {
  const response = respondEmpty(warning === undefined ? 204 : 200);
  if (trash !== undefined) response.headers.set(TRASH_HEADER, String(trash.until));
  warn(response, warning);
  return response;
}

function warn(response: Response, warning: string | undefined): void {
  if (warning === undefined) return;
  // RFC 7234 §5.5: code, agent, quoted text.
  const text = headerText(warning).replaceAll(/["\\]/g, "\\$&");
  response.headers.set("warning", `199 virtxd "${text}"`);
}
