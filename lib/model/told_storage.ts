/** Which storage another host says that it has. */
export interface ToldStorage {
  /** The name of the host. */
  readonly host: string;
  /** A UUID. */
  readonly id: string;
}
