/**
 * Goal: every request to Firestore is sent once, has a deadline, names its database, and many at once do not wait for each other.
 * Method: the real client library against a gRPC server on loopback that counts requests and answers as each test says. Limit: the
 * server knows nothing of Firestore; what Google's answers look like is the emulator's part (firestore-outage.test.ts).
 */
import { grpc } from "google-gax";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type FirestoreConnection, openConnection } from "../../service/stores/firestore-client.ts";
import { codes, RpcFailure } from "../../service/stores/firestore-failure.ts";

type Call = grpc.ServerUnaryCall<Buffer, Buffer> | grpc.ServerWritableStream<Buffer, Buffer>;
interface Asked {
  method: string;
  metadata: Record<string, unknown>;
  peer: string;
  fail(code: number, details: string): void;
}

const DEADLINE_MS = 700;
const raw = (bytes: Buffer): Buffer => bytes;

describe("the connection to Firestore", () => {
  const asked: Asked[] = [];
  let onAsked: (request: Asked) => void;
  let server: grpc.Server;
  let connection: FirestoreConnection;
  let emulator: string;

  beforeEach(async () => {
    asked.length = 0;
    server = new grpc.Server();
    const streaming = (method: string) => method !== "Commit";
    const definitions = ["Commit", "BatchGetDocuments", "RunQuery"].map((method) => ({
      ...{ path: `/google.firestore.v1.Firestore/${method}`, requestStream: false, responseStream: streaming(method) },
      ...{ requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw },
    }));
    const handle = (method: string) => (call: Call, answer?: (error: Partial<grpc.StatusObject>) => void) => {
      const request: Asked = {
        ...{ method, metadata: call.metadata.getMap(), peer: call.getPeer() },
        fail: (code, details) => {
          if (answer) answer({ code, details });
          else call.emit("error", { code, details });
        },
      };
      asked.push(request);
      onAsked(request);
    };
    server.addService(
      Object.fromEntries(definitions.map((each) => [each.path, each])),
      Object.fromEntries(definitions.map(({ path }) => [path, handle(path.split("/").at(-1)!)])),
    );
    const port = await new Promise<number>((resolve, reject) => {
      const credentials = grpc.ServerCredentials.createInsecure();
      server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
    });
    emulator = `127.0.0.1:${port}`;
    const place = { project: "my-project", database: "keybrake", emulator };
    connection = await openConnection({ ...place, deadlineMs: DEADLINE_MS });
  });
  afterEach(async () => {
    await connection.close();
    server.forceShutdown();
  });

  const requests: Record<string, () => Promise<unknown>> = {
    Commit: () => connection.commit([{ delete: `${connection.root}/calls/c1` }]),
    BatchGetDocuments: () => connection.get(["keys/k1", "calls/c1"]),
    RunQuery: () => connection.query(null, { from: [{ collectionId: "calls" }] }),
  };
  const failures = [...Object.values(codes).filter((code) => code !== codes.deadlineExceeded), 1, 2, 13];

  for (const [method, request] of Object.entries(requests)) {
    test(`sends ${method} once, whatever the answer`, async () => {
      for (const code of failures) {
        asked.length = 0;
        onAsked = ({ fail }) => fail(code, `answer ${code}`);
        const failure = await request().catch((error: unknown) => error);
        expect(failure).toBeInstanceOf(RpcFailure);
        expect(failure).toMatchObject({ code, unsent: false, message: expect.stringContaining(`answer ${code}`) });
        expect(asked.map((each) => each.method)).toEqual([method]);
      }
    });

    test(`gives ${method} up at its deadline, and does not send it again`, async () => {
      onAsked = () => {};
      await expect(request()).rejects.toMatchObject({ code: codes.deadlineExceeded, unsent: false });
      expect(asked.map((each) => each.method)).toEqual([method]);
    });

    test(`names the database in ${method}, and looks for no credentials with an emulator`, async () => {
      onAsked = ({ fail }) => fail(codes.aborted, "enough");
      await request().catch(() => {});
      const database = "projects/my-project/databases/keybrake";
      expect(asked[0]?.metadata).toMatchObject({
        "google-cloud-resource-prefix": database,
        authorization: "Bearer owner",
      });
      expect(decodeURIComponent(String(asked[0]?.metadata["x-goog-request-params"]))).toContain(database);
    });
  }

  test("writes nothing of what is sent, though GOOGLE_SDK_NODE_LOGGING asks for it", async () => {
    const written = vi.spyOn(console, "error").mockImplementation(() => {});
    vi.stubEnv("GOOGLE_SDK_NODE_LOGGING", "all");
    const place = { project: "my-project", database: "keybrake", emulator };
    const loud = await openConnection({ ...place, deadlineMs: DEADLINE_MS });
    try {
      onAsked = ({ fail }) => fail(codes.aborted, "enough");
      await loud.commit([{ delete: `${loud.root}/calls/c1` }]).catch(() => {});
      expect(asked).toHaveLength(1);
      expect(written.mock.calls).toEqual([]);
    } finally {
      await loud.close();
      written.mockRestore();
      vi.unstubAllEnvs();
    }
  });

  test("carries more at once than one connection takes", async () => {
    const all = Promise.withResolvers<void>();
    const wanted = 200;
    onAsked = () => {
      if (asked.length === wanted) all.resolve();
    };
    const waiting = Array.from({ length: wanted }, () => connection.commit([]).catch((error: unknown) => error));
    await all.promise;
    for (const { fail } of asked) fail(codes.aborted, "enough");
    expect(await Promise.all(waiting)).toHaveLength(wanted);
    expect(new Set(asked.map(({ peer }) => peer)).size).toBe(3);
  });

  test("says that nothing was sent when nobody listens", async () => {
    onAsked = () => {};
    server.forceShutdown();
    for (const request of Object.values(requests)) {
      await expect(request()).rejects.toMatchObject({ code: codes.unavailable, unsent: true });
    }
    expect(asked).toEqual([]);
  });

  test("is of no use when it is closed", async () => {
    await connection.close();
    for (const request of Object.values(requests)) await expect(request()).rejects.toThrow("The store is closed.");
  });
});
