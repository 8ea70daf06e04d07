/** The worker thread that owns the database: takes what has come together, answers it together. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { EncodedCommit } from "./sqlite-encode.ts";
import { type Asked, type EngineOptions, groupLength, type Question, SqliteEngine } from "./sqlite-engine.ts";
import { StoreUnavailable } from "./store.ts";

/** Requests of the main thread, numbered by it. */
export type Request =
  | readonly [id: number, "commit", EncodedCommit]
  | readonly [id: number, Question, Asked<Question>]
  | readonly [id: number, "close"];

/** Errors do not keep their class on the way: only their text and what the ledger tells apart. */
export type Reply =
  | readonly [id: number, "ok", value: unknown]
  | readonly [id: number, "unavailable" | "failed", message: string, cause: string];

if (!parentPort) throw new Error("sqlite-thread.ts runs as a worker thread only.");
const port = parentPort;

function failure(id: number, error: unknown): Reply {
  const message = error instanceof Error ? error.message : String(error);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : "";
  return [id, error instanceof StoreUnavailable ? "unavailable" : "failed", message, cause];
}

function commits(engine: SqliteEngine, group: readonly { id: number; commit: EncodedCommit }[]): Reply[] {
  try {
    const results = engine.commit(group.map((each) => each.commit));
    return group.map(({ id }, index) => [id, "ok", results[index]]);
  } catch (error) {
    return group.map(({ id }) => failure(id, error));
  }
}

function other(engine: SqliteEngine, request: Exclude<Request, { 1: "commit" }>): Reply {
  try {
    if (request[1] === "close") {
      engine.close();
      return [request[0], "ok", null];
    }
    return [request[0], "ok", engine.ask(request[1], request[2])];
  } catch (error) {
    return failure(request[0], error);
  }
}

/** Answers in the order of the requests; commits that follow each other share a transaction. */
function answer(engine: SqliteEngine, requests: readonly Request[]): void {
  const group: { id: number; commit: EncodedCommit; size: number }[] = [];
  const settle = () => {
    while (group.length > 0) port.postMessage(commits(engine, group.splice(0, groupLength(group))));
  };
  for (const request of requests) {
    if (request[1] === "commit") {
      group.push({ id: request[0], commit: request[2] as EncodedCommit, size: (request[2] as EncodedCommit).size });
      continue;
    }
    settle();
    port.postMessage([other(engine, request as Exclude<Request, { 1: "commit" }>)]);
  }
  settle();
}

function serve(engine: SqliteEngine): void {
  port.on("message", (first: Request[]) => {
    const requests = [...first];
    for (let more = receiveMessageOnPort(port); more; more = receiveMessageOnPort(port)) {
      requests.push(...(more.message as Request[]));
    }
    answer(engine, requests);
  });
}

try {
  serve(new SqliteEngine(workerData as EngineOptions));
  port.postMessage([[0, "ok", null] satisfies Reply]);
} catch (error) {
  port.postMessage([failure(0, error)]);
}
