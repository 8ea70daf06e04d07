/**
 * The three requests that the store makes of Firestore, each with a deadline and sent once: what a second try may mean is
 * decided by whoever asked. This is the client that `@google-cloud/firestore` is built on. That one cannot be told to send a
 * commit only once, nor when to give up: it tries for minutes, so that a commit could land long after its callers had an answer.
 */
import type { protos } from "@google-cloud/firestore-api";
import type { FirestoreClient } from "@google-cloud/firestore-api/client_v1";
import { silenceGoogle } from "../google/google-client.ts";
import { codes, RpcFailure } from "./firestore-failure.ts";
import { type Fields, millisOf, versionOf } from "./firestore-values.ts";
import type { Version } from "./store.ts";
import { StoreUnavailable } from "./store.ts";

export type ApiWrite = protos.google.firestore.v1.IWrite;
export type ApiQuery = protos.google.firestore.v1.IStructuredQuery;
type ApiDocument = protos.google.firestore.v1.IDocument;

export interface FoundDoc {
  /** Without the database: `calls/call_…`. */
  path: string;
  fields: Fields;
  version: Version;
}

export interface Committed {
  /** Of each write, in their order; `null` for a deletion. */
  versions: (Version | null)[];
  /** Store's time, ms. */
  time: number;
}

/** What the store asks of Firestore. */
export interface FirestoreConnection {
  /** `projects/P/databases/D/documents`: names of documents begin so. */
  readonly root: string;
  /** All or nothing. Throws {@link RpcFailure}. */
  commit(writes: ApiWrite[]): Promise<Committed>;
  /** Those that exist, by path, as they all were at one moment. Throws {@link RpcFailure}. */
  get(paths: readonly string[]): Promise<Map<string, FoundDoc>>;
  /** @param parent path of the document whose collection is asked, `null`: the root. Throws {@link RpcFailure}. */
  query(parent: string | null, query: ApiQuery): Promise<FoundDoc[]>;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  project: string;
  database: string;
  /** `HOST:PORT` of an emulator; `null`: Google's. */
  emulator: string | null;
  /** How long one request may take, ms. */
  deadlineMs: number;
}

/** Google's front ends carry 100 requests at once per connection (`MAX_CONCURRENT_REQUESTS_PER_CLIENT` of @google-cloud/firestore 9.4, 2026-11). */
const REQUESTS_PER_CHANNEL = 90;
const MAX_CHANNELS = 8;

/** grpc-js doubles its pause up to two minutes by default: then an outage of a minute would cost two more. */
const channelOptions = {
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  // A connection that died without a word is noticed while requests wait on it.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.use_local_subchannel_pool": 1,
};

interface Channel {
  client: FirestoreClient;
  inFlight: number;
  /** Takes no further requests, and is closed after its last one. */
  retired: boolean;
}

/** Loads the client library, which a proxy on SQLite never does; no connection is made before the first request. */
export async function openConnection(options: ConnectionOptions): Promise<FirestoreConnection> {
  const [{ FirestoreClient }] = await Promise.all([import("@google-cloud/firestore-api/client_v1"), silenceGoogle()]);
  const own = options.emulator === null ? {} : await emulatorOptions(options.emulator);
  return new Channels(
    options,
    () => new FirestoreClient({ ...channelOptions, ...own, gaxServerStreamingRetries: true }),
  );
}

/** Without credentials: an emulator asks for none, and looking for them would ask the metadata server. */
async function emulatorOptions(emulator: string) {
  const [{ grpc }, { PassThroughClient }] = await Promise.all([import("google-gax"), import("google-auth-library")]);
  const { hostname, port } = new URL(`http://${emulator}`);
  return {
    servicePath: hostname,
    port: Number(port || 80),
    sslCreds: grpc.credentials.createInsecure(),
    authClient: new PassThroughClient(),
  };
}

class Channels implements FirestoreConnection {
  readonly root: string;
  readonly #database: string;
  readonly #options: object;
  readonly #open: () => FirestoreClient;
  readonly #channels: Channel[] = [];
  #closed = false;

  constructor({ project, database, emulator, deadlineMs }: ConnectionOptions, open: () => FirestoreClient) {
    this.#database = `projects/${project}/databases/${database}`;
    this.root = `${this.#database}/documents`;
    this.#open = open;
    const headers = {
      "google-cloud-resource-prefix": this.#database,
      // The emulator takes it for an administrator.
      ...(emulator !== null && { authorization: "Bearer owner" }),
    };
    this.#options = { timeout: deadlineMs, retry: null, otherArgs: { headers } };
  }

  commit(writes: ApiWrite[]): Promise<Committed> {
    return this.#on(async (client) => {
      const [answer] = await client.commit({ database: this.#database, writes }, this.#options);
      return {
        versions: (answer.writeResults ?? []).map(({ updateTime }) => (updateTime ? versionOf(updateTime) : null)),
        time: millisOf(answer.commitTime ?? {}),
      };
    });
  }

  /**
   * No document of the answer changed between its own reading and the last one's: "the previous documents in the result stream
   * are guaranteed not to have changed between their read_time and this one"
   * (https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1#batchgetdocumentsresponse, read 2026-11).
   */
  async get(paths: readonly string[]): Promise<Map<string, FoundDoc>> {
    const documents = [...new Set(paths)].map((path) => `${this.root}/${path}`);
    const found = await this.#on((client) =>
      this.#all(client.batchGetDocuments({ database: this.#database, documents }, this.#options)),
    );
    return new Map(found.map((doc) => [doc.path, doc]));
  }

  query(parent: string | null, structuredQuery: ApiQuery): Promise<FoundDoc[]> {
    const place = parent === null ? this.root : `${this.root}/${parent}`;
    return this.#on((client) => this.#all(client.runQuery({ parent: place, structuredQuery }, this.#options)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#channels.splice(0).map(({ client }) => client.close()));
  }

  async #on<T>(ask: (client: FirestoreClient) => Promise<T>): Promise<T> {
    if (this.#closed) throw new StoreUnavailable("The store is closed.");
    const channel = this.#pick();
    channel.inFlight += 1;
    try {
      return await ask(channel.client);
    } catch (error) {
      const failure = new RpcFailure(error);
      if (failure.code === codes.deadlineExceeded) this.#retire(channel);
      throw failure;
    } finally {
      channel.inFlight -= 1;
      // Nobody waits for the end of a line that may be dead.
      if (channel.retired && channel.inFlight === 0) channel.client.close().catch(() => {});
    }
  }

  /** Its line may be dead without a word, which keepalive finds out in half a minute only: what follows takes another one. */
  #retire(channel: Channel): void {
    channel.retired = true;
    const at = this.#channels.indexOf(channel);
    if (at >= 0) this.#channels.splice(at, 1);
  }

  #pick(): Channel {
    const [least] = this.#channels.toSorted((one, other) => one.inFlight - other.inFlight);
    if (least && (least.inFlight < REQUESTS_PER_CHANNEL || this.#channels.length === MAX_CHANNELS)) return least;
    const channel = { client: this.#open(), inFlight: 0, retired: false };
    this.#channels.push(channel);
    return channel;
  }

  #all(stream: NodeJS.EventEmitter): Promise<FoundDoc[]> {
    return new Promise((resolve, reject) => {
      const found: FoundDoc[] = [];
      stream.on("data", (answer: { found?: ApiDocument | null; document?: ApiDocument | null }) => {
        const doc = answer.found ?? answer.document;
        if (!doc?.name) return;
        const path = doc.name.slice(this.root.length + 1);
        found.push({ path, fields: doc.fields ?? {}, version: versionOf(doc.updateTime ?? {}) });
      });
      stream.on("error", reject);
      stream.on("end", () => resolve(found));
    });
  }
}
