import { unescapeXml } from "./element.ts";

/**
 * What libvirt calls the domain of a definition that it has printed: virtxd's own by their UUID, those of other tools by the name
 * that their users know. Goes by libvirt's indentation, as it is asked of many definitions. Undefined: it is not such a text.
 */
export function libvirtName(xml: string): string | undefined {
  const [, name] = /\n {2}<name>([^<]*)<\/name>/.exec(xml) ?? [];
  return name === undefined ? undefined : unescapeXml(name, "kept");
}
