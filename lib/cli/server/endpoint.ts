import { VirtxError } from "../../model/error.ts";

/**
 * Where the client looks for a server if it is told nothing: at this host's own, by its socket. An address of loopback is
 * none to try by itself: while virtxd is down any local user could answer there.
 */
export const DEFAULT_ENDPOINTS: readonly string[] = ["unix:/run/virtxd/virtxd.sock"];

/** virtxd's port (protocol.md §1). */
const PORT = 8080;

/**
 * The address of a server as ApiClient wants it, from what people write: virt1, virt1:9000, [::1]:8080, http://virt1:8080,
 * https://virt1, unix:/run/virtxd/virtxd.sock, or a path.
 * @throws VirtxError invalid
 */
export function parseEndpoint(text: string): string {
  const trimmed = text.trim();
  if (trimmed.startsWith("/")) return `unix:${trimmed}`;
  if (trimmed.startsWith("unix:/")) return trimmed;
  const url = URL.parse(/^[a-z]+:\/\//.test(trimmed) ? trimmed : `http://${withPort(trimmed)}`);
  const isWhole = url !== null && ["http:", "https:"].includes(url.protocol) && url.hostname !== "";
  if (!isWhole || url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    throw new VirtxError(
      "invalid",
      `${
        JSON.stringify(text)
      } is no server: use a host, host:port, http://host:port or unix:/path/of/the/socket`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new VirtxError("invalid", "A server's URL must not have a password in it: others could read it");
  }
  return url.origin;
}

/** All servers of a list that is separated by commas. */
export function parseEndpoints(text: string): readonly string[] {
  return text.split(",").filter((part) => part.trim() !== "").map(parseEndpoint);
}

function withPort(text: string): string {
  const bare = /^[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:]*$/i.test(text) ? `[${text}]` : text;
  return /:\d+$/.test(bare) && !bare.endsWith("]") ? bare : `${bare}:${PORT}`;
}
