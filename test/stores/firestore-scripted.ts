/** A connection to Firestore that does what a test says: answers, errors, and what is found when the store looks again. */
import type {
  ApiQuery,
  ApiWrite,
  Committed,
  FirestoreConnection,
  FoundDoc,
} from "../../service/stores/firestore-client.ts";
import { RpcFailure } from "../../service/stores/firestore-failure.ts";

export const ROOT = "projects/p/databases/d/documents";
export const VERSION = "1795341513.000000001";
export const LATER = "1795341513.000000002";

/** An error as grpc-js throws it. */
export function rpcError(code: number | null, details = "for the test"): RpcFailure {
  return new RpcFailure(Object.assign(new Error(details), code === null ? {} : { code, details }));
}

export class ScriptedConnection implements FirestoreConnection {
  readonly root = ROOT;
  /** Writes of each commit that was sent. */
  readonly commits: ApiWrite[][] = [];
  /** Queries that were asked, with their parents. */
  readonly queries: { parent: string | null; query: ApiQuery }[] = [];
  /** Paths of each read. */
  readonly reads: string[][] = [];
  /** Outcomes of the next commits; when it is empty they apply. */
  readonly outcomes: (RpcFailure | "applied")[] = [];
  readonly docs = new Map<string, FoundDoc>();
  readFailure: RpcFailure | null = null;

  async commit(writes: ApiWrite[]): Promise<Committed> {
    this.commits.push(writes);
    const outcome = this.outcomes.shift() ?? "applied";
    if (outcome !== "applied") throw outcome;
    return { versions: writes.map((write) => (write.delete ? null : LATER)), time: 1 };
  }

  async get(paths: readonly string[]): Promise<Map<string, FoundDoc>> {
    this.reads.push([...paths]);
    if (this.readFailure) throw this.readFailure;
    return new Map([...this.docs].filter(([path]) => paths.includes(path)));
  }

  async query(parent: string | null, query: ApiQuery): Promise<FoundDoc[]> {
    this.queries.push({ parent, query });
    if (this.readFailure) throw this.readFailure;
    return [];
  }

  async close(): Promise<void> {}

  /** The document is there, as the nth commit (from the end: -1 is the last) would have written it. */
  found(path: string, version: string, commit = -1): void {
    const write = this.commits.at(commit)?.find(({ update }) => update?.name === `${ROOT}/${path}`);
    this.docs.set(path, { path, version, fields: write?.update?.fields ?? {} });
  }
}
