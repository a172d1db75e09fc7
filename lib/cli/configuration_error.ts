import { VirtxError } from "../model/error.ts";

/** The client's configuration file is wrong, or has not what was asked for. */
export class ConfigurationError extends VirtxError {
  constructor(message: string, cause?: unknown) {
    super("invalid", message, { cause });
  }
}
