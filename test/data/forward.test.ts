/**
 * Goal: we know for certain whether a byte of a request was written, and what is written is what was given, path and all.
 * Method: the sender alone, against an upstream that keeps bytes; and the behaviour of undici 8.12 that this rests on, pinned.
 * Limit: HTTP/1.1 on loopback; "written" means handed to the kernel.
 */
import { type AddressInfo, createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Reply, Sending } from "../../service/data/forward.ts";
import { defaultLimits } from "../../service/data/limits.ts";
import { type SendOptions, Upstreams } from "../../service/data/upstreams.ts";
import { Refusal } from "../../service/errors.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import type { Vendor, VendorMessage } from "../../service/vendors/vendor.ts";
import { json, Upstream } from "../support/upstream.ts";

const stripe = loadVendors({ now: Date.now }).get("stripe")!;
const post: VendorMessage = { method: "POST", target: "/v1/x", headers: {}, body: Buffer.from("a=1") };
let upstream: Upstream;
let upstreams: Upstreams;
beforeEach(async () => {
  upstream = await Upstream.start();
  upstreams = new Upstreams(defaultLimits, new Map([["stripe", upstream.url]]));
});
afterEach(async () => {
  await upstreams.close();
  await upstream.stop();
});

const send = (message: VendorMessage = post, options: Partial<SendOptions> = {}): Promise<Reply> =>
  upstreams.send(stripe, null, message, { ms: 2_000, stream: false, gate: null, onSent: null, ...options });

describe("the gate", () => {
  test("is asked before a byte is written, and a shut one writes none", async () => {
    let bytes = 0;
    upstream.onBytes = () => {
      bytes += 1;
      return false;
    };
    const refusal = new Refusal("key_revoked", "test");
    expect(await send(post, { gate: () => refusal })).toEqual({ kind: "stopped", refusal });
    expect((await send()).kind).toBe("answer");
    expect([bytes, upstream.received.length]).toEqual([1, 1]);
  });

  test("is asked once for each request, also on a connection that was used before", async () => {
    const asked: number[] = [];
    for (let i = 0; i < 3; i += 1) {
      await send(post, {
        gate: () => {
          asked.push(upstream.received.length);
          return null;
        },
      });
    }
    expect(asked).toEqual([0, 1, 2]);
  });

  test("is not asked when no connection comes about: then nothing was sent", async () => {
    const closed = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => closed.once("listening", resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    upstreams = new Upstreams(defaultLimits, new Map([["stripe", `http://127.0.0.1:${port}`]]));
    let asked = false;
    const reply = await send(post, {
      gate: () => {
        asked = true;
        return null;
      },
    });
    expect([reply, asked]).toEqual([{ kind: "unsent", reason: "econnrefused" }, false]);
  });

  test("of a name that does not exist is not asked either", async () => {
    upstreams = new Upstreams(defaultLimits, new Map([["stripe", "http://vendor.invalid"]]));
    expect((await send()).kind).toBe("unsent");
  });
});

describe("a request", () => {
  test("that undici would write a second time is stopped", async () => {
    const sending = new Sending(defaultLimits, { ms: 1_000, stream: false, gate: null, onSent: null });
    const aborted: unknown[] = [];
    const controller = { abort: (reason: unknown) => aborted.push(reason) } as never;
    sending.onRequestStart(controller);
    expect(aborted).toHaveLength(0);
    sending.onRequestStart(controller);
    expect(aborted).toHaveLength(1);
    sending.onResponseError(null, new Error("gone"));
    expect(await sending.reply).toMatchObject({ kind: "lost" });
  });

  test("that is given up before it was written is not written later", async () => {
    const sending = new Sending(defaultLimits, { ms: 1, stream: false, gate: null, onSent: null });
    expect(await sending.reply).toEqual({ kind: "unsent", reason: "timeout" });
    const aborted: unknown[] = [];
    sending.onRequestStart({ abort: (reason: unknown) => aborted.push(reason) } as never);
    expect(aborted).toHaveLength(1);
  });

  test("whose connection dies after it was written is not sent again", async () => {
    upstream.next((socket) => socket.resetAndDestroy());
    expect((await send()).kind).toBe("lost");
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(upstream.received).toHaveLength(1);
  });

  test.each(["/v1/a..b", "/v1/./x", "/v1/../x", "/v1//x", "/v1/%41", "/v1/x?a=%20&b=[c]"])(
    "to %s goes out letter for letter",
    async (target) => {
      await send({ method: "GET", target, headers: {}, body: null });
      expect(upstream.received[0]!.target).toBe(target);
    },
  );

  test("that is redirected stays where it is", async () => {
    upstream.next(json(302, {}, { location: `${upstream.url}/elsewhere` }));
    expect(await send()).toMatchObject({ kind: "answer", status: 302 });
    expect(upstream.received).toHaveLength(1);
  });

  test("has no header but ours and the message's", async () => {
    await send({ ...post, headers: { "x-a": "1", "user-agent": "theirs" } });
    const { headers } = upstream.received[0]!;
    expect([headers.get("x-a"), headers.get("user-agent"), headers.get("accept-encoding")]).toEqual([
      "1",
      "keybrake",
      "identity",
    ]);
  });
});

describe("the origin", () => {
  const named = { id: "v", upstream: "https://api.vendor.com", subdomains: ["verify"] } as unknown as Vendor;
  const own = new Upstreams(defaultLimits, new Map());

  test("is the vendor's own, with its first label replaced by a listed one", () => {
    expect(own.originOf(named, null)).toBe("https://api.vendor.com");
    expect(own.originOf(named, "verify")).toBe("https://verify.vendor.com");
    expect(() => own.originOf(named, "evil")).toThrow("no subdomain");
  });

  test("of the operator's takes every name", () => {
    const operators = new Upstreams(defaultLimits, new Map([["v", "http://127.0.0.1:1"]]));
    expect(operators.originOf(named, "verify")).toBe("http://127.0.0.1:1");
  });
});
