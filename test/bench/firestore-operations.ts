/**
 * Counts what the Firestore client is asked to do in this process, for whichever library asks it: the proxy's store, and the
 * baseline's transactions, which end in the same generated client.
 */
import type { protos } from "@google-cloud/firestore-api";
import { FirestoreClient } from "@google-cloud/firestore-api/client_v1";
import { noOperations, type Operations } from "./firestore-cost.ts";

type ApiWrite = protos.google.firestore.v1.IWrite;

/** The methods that are counted, as anything may call them. */
export interface CountedClient {
  commit(request: { writes?: ApiWrite[] | null }, ...rest: unknown[]): Promise<unknown>;
  batchGetDocuments(request: { documents?: string[] | null }, ...rest: unknown[]): NodeJS.EventEmitter;
  runQuery(request: unknown, ...rest: unknown[]): NodeJS.EventEmitter;
}

export class OperationCounter {
  readonly #counts: Operations = { ...noOperations };
  readonly #expiring = new Set<string>();

  get counts(): Operations {
    return { ...this.#counts, laterDeletes: this.#expiring.size };
  }

  /** From now on every client of this prototype is counted. */
  watch(client: CountedClient): void {
    const { commit, batchGetDocuments, runQuery } = client;
    const counter = this;
    client.commit = async function (request, ...rest) {
      try {
        const answer = await commit.call(this, request, ...rest);
        counter.#committed(request.writes ?? []);
        return answer;
      } catch (error) {
        counter.#counts.refusedCommits += 1;
        throw error;
      }
    };
    client.batchGetDocuments = function (request, ...rest) {
      counter.#counts.reads += request.documents?.length ?? 0;
      return batchGetDocuments.call(this, request, ...rest);
    };
    client.runQuery = function (request, ...rest) {
      const stream = runQuery.call(this, request, ...rest);
      let rows = 0;
      stream.on("data", ({ document }: { document?: unknown }) => {
        if (document) rows += 1;
      });
      stream.on("end", () => {
        counter.#counts.reads += Math.max(1, rows);
      });
      return stream;
    };
  }

  #committed(writes: readonly ApiWrite[]): void {
    for (const write of writes) {
      if (write.delete) {
        this.#counts.deletes += 1;
        this.#expiring.delete(write.delete);
        continue;
      }
      this.#counts.writes += 1;
      if (write.update?.name && write.update.fields?.expireAt) this.#expiring.add(write.update.name);
    }
  }
}

/** Counts all of this process from now on. */
export function countOperations(): OperationCounter {
  const counter = new OperationCounter();
  counter.watch(FirestoreClient.prototype as unknown as CountedClient);
  return counter;
}
