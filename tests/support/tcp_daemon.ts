import { inBackground } from "../../lib/model/background.ts";

export const HOSTNAME = "127.0.0.1";

/** Something that listens, and what it does with what it is sent. */
export function daemon(answer: (connection: Deno.TcpConn, asked: string) => Promise<void> | void, port = 0) {
  const listener = Deno.listen({ hostname: HOSTNAME, port });
  const serve = async () => {
    for await (const connection of listener) {
      const bytes = new Uint8Array(100);
      const length = await connection.read(bytes) ?? 0;
      await answer(connection, bytes.subarray(0, length).toHex().replace(/.{8}(?=.)/g, "$& "));
    }
  };
  inBackground(serve());
  return { port: listener.addr.port, [Symbol.dispose]: () => listener.close() };
}
