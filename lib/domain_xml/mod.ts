/**
 * VM definitions as libvirt domain XML and back (protocol.md §4), and what libvirt says of hosts. Pure: text in, data out.
 */
export { buildDomainXml, machineType } from "./build.ts";
export {
  type Capabilities,
  type GuestCapabilities,
  type HostCapabilities,
  parseCapabilities,
} from "./capabilities.ts";
export type { DomainContext, DomainType } from "./context.ts";
export {
  type DomainCapabilities,
  parseDomainCapabilities,
  parseOfferedDevices,
} from "./domain_capabilities.ts";
export { operationMetadata } from "./metadata.ts";
export { outline, showDomain } from "./show.ts";
export { operationsOf, type ParsedDomain, parseDomainXml } from "./parse.ts";
export { seedDeviceXml } from "./seed.ts";
export { hostCpuOf, parsePlatform, type Platform } from "./platform.ts";
export { type DomainSummary, outlinedSummary, parseSummary } from "./summary.ts";
export { parseSysinfo, type Sysinfo } from "./sysinfo.ts";
