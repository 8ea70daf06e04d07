/** Failures of Firestore, and what they mean to the ledger. */
import { StoreUnavailable } from "./store.ts";

/** https://grpc.io/docs/guides/status-codes/ */
export const codes = {
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** Firestore, or the way to it, answered with an error. */
export class RpcFailure extends Error {
  override name = "RpcFailure";
  /** gRPC status; `null`: the request was never made (no credentials, say). */
  readonly code: number | null;

  constructor(error: unknown) {
    const { code, details } = error as { code?: unknown; details?: unknown };
    super(typeof details === "string" ? details : String(error), { cause: error });
    this.code = typeof code === "number" ? code : null;
  }

  /** No byte of the request left: grpc-js had no connection to write it to. */
  get unsent(): boolean {
    return (
      this.code === null ||
      (this.code === codes.unavailable && /^(No connection established|Name resolution failed)/.test(this.message))
    );
  }
}

/** Whatever Firestore could not answer is {@link StoreUnavailable}. */
export async function guarded<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof RpcFailure ? unavailable(error) : error;
  }
}

export function unavailable(error: RpcFailure): StoreUnavailable {
  return new StoreUnavailable(`Firestore cannot be reached or refuses: ${hint(error)}${error.message}`, {
    cause: error,
  });
}

function hint({ code }: RpcFailure): string {
  if (code === codes.permissionDenied)
    return "the proxy's service account needs roles/datastore.user on this database; ";
  if (code === codes.notFound) return "KEYBRAKE_STORE must name a database that exists, in Native mode; ";
  return "";
}

/** Some precondition did not hold, or another commit held the lock: nothing was written by this sending of it. */
export function isRefusal({ code }: RpcFailure): boolean {
  return (
    code === codes.failedPrecondition ||
    code === codes.alreadyExists ||
    code === codes.notFound ||
    code === codes.aborted
  );
}

/** Decided before anything is written. */
export function isDenied({ code }: RpcFailure): boolean {
  return code === codes.permissionDenied || code === codes.unauthenticated;
}
