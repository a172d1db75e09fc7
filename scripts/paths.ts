import { fileURLToPath } from "node:url";

/** The directory that the project lies in, without a slash at its end. (A URL's pathname would not do: it says `%20` for a space.) */
export const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
