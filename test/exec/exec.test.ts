/**
 * Goal: `exec` gives a command the variables of its execution's key and becomes it, or says in one sentence why it did not, and the
 * implementations do the same.
 * Method: one table, run against each implementation in a process of its own, with a metadata server and a scripted proxy on loopback.
 * Limit: the metadata server speaks Google's documented shape, which this cannot prove to be Google's; the claim itself is tested in
 * `with-proxy.test.ts`. Signal dispositions are read from Linux's /proc. How fast it starts is the bench's matter.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { nameOf } from "../support/runtimes.ts";
import { type Ended, type Implementation, implementations, runExec, startExec } from "./implementations.ts";
import { claimed, type Loopback, type Reply, serve, serveMetadata, tokenOf } from "./loopback.ts";

const AUDIENCE = "keybrake/my-project/us-central1/keybrake";
const ACCOUNT = "billing@my-project.iam.gserviceaccount.com";

const directory = mkdtempSync(join(tmpdir(), "keybrake-exec-"));
const file = (name: string, text: string, mode = 0o755): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
};
/** Tells what it got. */
const told = file(
  "tell.mjs",
  "process.stdout.write(JSON.stringify({ pid: process.pid, args: process.argv.slice(2), env: process.env }));",
  0o644,
);
const tell = [process.execPath, told];

let metadata: Loopback;
let proxy: Loopback;
let env: Record<string, string>;

beforeEach(async () => {
  metadata = await serveMetadata(ACCOUNT);
  proxy = await serve(() => ({ status: 201, body: claimed }));
  env = {
    PATH: process.env.PATH ?? "",
    KEYBRAKE_URL: proxy.url,
    KEYBRAKE_AUDIENCE: AUDIENCE,
    GCE_METADATA_HOST: metadata.host,
    CLOUD_RUN_JOB: "billing",
    CLOUD_RUN_EXECUTION: "billing-x7x2p",
    CLOUD_RUN_TASK_INDEX: "7",
    CLOUD_RUN_TASK_COUNT: "100",
    CLOUD_RUN_TASK_ATTEMPT: "1",
  };
  return async () => {
    await metadata.close();
    await proxy.close();
  };
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Told {
  pid: number;
  args: string[];
  env: Record<string, string>;
}
const toldBy = ({ stdout, stderr }: Ended): Told => {
  expect(stderr).toBe("");
  return JSON.parse(stdout) as Told;
};

/** It failed with this code and one sentence, and the command did not run. */
function expectFailure(ended: Ended, code: number, sentence: RegExp): void {
  expect(ended).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(sentence) });
  expect(ended.stderr).toMatch(/^keybrake exec: [^\n]+[.?]\n$/);
}

describe.each(implementations.map((each) => [nameOf(each.name, each.missing), each] as const))("%s", (_name, it) => {
  const cases = (title: string, run: () => Promise<void>) => test.skipIf(it.missing !== null)(title, run);
  const run = (...args: string[]) => runExec(it, args, env);

  describe("the command", () => {
    commandCases(cases, run, it);
  });
  describe("the environment", () => {
    environmentCases(cases, run, it);
  });
  if (it.variant) return;
  describe("what is tried again", () => {
    retryCases(cases, run, it);
  });
  describe("what is refused", () => {
    refusalCases(cases, run);
  });
  describe("wrong usage", () => {
    usageCases(cases, run);
  });
});

type Cases = (title: string, run: () => Promise<void>) => void;
type Run = (...args: string[]) => Promise<Ended>;

function commandCases(cases: Cases, run: Run, it: Implementation): void {
  cases("it is started with its arguments as they are, whatever is in them", async () => {
    const args = [
      "a b",
      "",
      "'single' \"double\"",
      "$HOME `id` ; rm -rf *",
      "ünï→🙂",
      "line\nbreak",
      "--",
      "--wait",
      "-x",
    ];
    expect(toldBy(await run("--", ...tell, ...args)).args).toEqual(args);
  });

  cases("it may come without the two dashes", async () => {
    expect(toldBy(await run(...tell, "one", "--two")).args).toEqual(["one", "--two"]);
  });

  if (it.becomes) {
    cases("it has the process's own id", async () => {
      const started = startExec(it, ["--", ...tell], env);
      const { pid } = toldBy(await started.ended);
      expect(pid).toBe(started.child.pid);
    });
  }

  cases("it is found on the PATH", async () => {
    const name = "keybrake-test-program";
    file(name, '#!/bin/sh\necho found "$0" "$1"\n');
    env.PATH = `/nowhere:${directory}:${env.PATH}`;
    expect(await run(name, "it is")).toMatchObject({ code: 0, stdout: `found ${join(directory, name)} it is\n` });
  });

  cases("its exit code is the exit code", async () => {
    expect(await run("sh", "-c", "exit 7")).toMatchObject({ code: 7, signal: null, stderr: "" });
  });

  cases("a signal that it dies of is the signal that is seen", async () => {
    expect(await run("sh", "-c", "kill -KILL $$")).toMatchObject({ code: null, signal: "SIGKILL" });
  });

  cases("a signal reaches it", async () => {
    const script =
      "process.on('SIGTERM', () => process.exit(3)); process.stdout.write('ready'); setInterval(() => {}, 1000)";
    const { child, ended } = startExec(it, ["--", process.execPath, "-e", script], env);
    child.stdout.once("data", () => child.kill("SIGTERM"));
    expect(await ended).toMatchObject({ code: 3, stdout: "ready" });
  });

  cases("SIGTERM ends one that does not handle it", async () => {
    const script = "process.stdout.write('ready'); setInterval(() => {}, 1000)";
    const { child, ended } = startExec(it, ["--", process.execPath, "-e", script], env);
    child.stdout.once("data", () => child.kill("SIGTERM"));
    expect(await ended).toMatchObject({ code: null, signal: "SIGTERM" });
  });

  if (process.platform === "linux") {
    cases("it ignores no signal that it would not ignore by itself", async () => {
      const { stdout } = await run("grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status");
      expect(stdout).toBe("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    });
  }

  const unfit: [string, string, number, RegExp][] = [
    ["is not there", "keybrake-no-such-program", 127, /there is no program `keybrake-no-such-program` on the PATH\./],
    ["is a path to nothing", "/no/such/program", 127, /there is no program `\/no\/such\/program`\./],
    ["is empty", "", 127, /there is no program ``/],
    ["may not be executed", file("plain", "#!/bin/sh\n", 0o644), 126, /plain` may not be executed: `chmod \+x` it\./],
    ["is a directory", directory, 127, /there is no program/],
    [
      "needs an interpreter that is not there",
      file("lost", "#!/no/such/sh -e\n"),
      127,
      /needs \/no\/such\/sh, which is not there\./,
    ],
    ["is no program", file("text", "echo hello\n"), 126, /is neither a program nor a script that begins with `#!`\./],
  ];
  for (const [what, program, code, sentence] of unfit) {
    cases(`one that ${what} is told before anybody is asked, with exit code ${code}`, async () => {
      expectFailure(await run("--", program), code, sentence);
      expect([...metadata.asked, ...proxy.asked]).toEqual([]);
    });
  }
}

function environmentCases(cases: Cases, run: Run, it: Implementation): void {
  const key = `${claimed.vault_key}~7~1`;

  cases("it is what it was, with the key's variables and the task's context", async () => {
    expect(toldBy(await run(...tell)).env).toEqual({
      ...env,
      ...it.env,
      KEYBRAKE_VAULT_KEY: key,
      KEYBRAKE_KEY_ID: claimed.key_id,
      KEYBRAKE_RUN_ID: "run-1",
      KEYBRAKE_TASK_INDEX: "7",
      KEYBRAKE_TASK_ATTEMPT: "1",
      STRIPE_SECRET_KEY: key,
      STRIPE_API_BASE: proxy.url,
      RESEND_BASE_URL: `${proxy.url}/resend`,
    });
    expect(proxy.asked).toEqual(["POST /jobs/billing/executions/billing-x7x2p/claim"]);
    expect(proxy.headers.authorization).toBe(`Bearer ${tokenOf(ACCOUNT, AUDIENCE)}`);
  });

  cases("variables of the job's template are replaced, others stay as they are", async () => {
    Object.assign(env, {
      STRIPE_SECRET_KEY: "sk_live_left_in_the_template",
      KEYBRAKE_VAULT_KEY: "launch this job by keybrake",
      KEYBRAKE_TASK_INDEX: "99",
      STRIPE_WEBHOOK_SECRET: "stays",
      EMPTY: "",
      ODD: "a=b\n'c' \"d\" $e ünï",
    });
    const seen = toldBy(await run(...tell)).env;
    expect(seen).toMatchObject({
      STRIPE_SECRET_KEY: key,
      KEYBRAKE_VAULT_KEY: key,
      KEYBRAKE_TASK_INDEX: "7",
      STRIPE_WEBHOOK_SECRET: "stays",
      EMPTY: "",
      ODD: "a=b\n'c' \"d\" $e ünï",
    });
  });

  cases("a proxy behind a path is asked there, and a slash at the end counts for nothing", async () => {
    env.KEYBRAKE_URL = `${proxy.url}/keybrake/`;
    expect(toldBy(await run(...tell)).env).toMatchObject({
      STRIPE_API_BASE: `${proxy.url}/keybrake`,
      RESEND_BASE_URL: `${proxy.url}/keybrake/resend`,
    });
    expect(proxy.asked).toEqual(["POST /keybrake/jobs/billing/executions/billing-x7x2p/claim"]);
  });
}

function retryCases(cases: Cases, run: Run, it: Implementation): void {
  const busy: Reply = { status: 503, body: { code: "launch_pending", message: "launch_pending: later" } };

  cases("503, 429, 500 and a connection that ends without an answer, until there is one", async () => {
    proxy.next(busy, { status: 429 }, "reset", { status: 500 });
    metadata.next({ status: 503 }, "reset");
    toldBy(await run(...tell));
    expect(proxy.asked).toHaveLength(5);
    expect(metadata.asked).toHaveLength(3);
  });

  cases("an answer that was cut", async () => {
    proxy.next("cut");
    toldBy(await run(...tell));
    expect(proxy.asked).toHaveLength(2);
  });

  cases("no longer than the time given: then the last answer is told", async () => {
    proxy.next(...Array<Reply>(50).fill(busy));
    expectFailure(await run("--wait", "1", "--", ...tell), 1, /the proxy refused the claim: launch_pending: later\./);
    expect(proxy.asked.length).toBeGreaterThan(1);
    expect(proxy.asked.length).toBeLessThan(10);
  });

  cases("a proxy that never answers: it is told where it was looked for", async () => {
    proxy.next("silence");
    expectFailure(await run("--wait", "1", "--", ...tell), 1, /the proxy at http:\/\/127\.0\.0\.1:\d+ does not answer/);
  });

  cases("a proxy that is down", async () => {
    const { url } = proxy;
    await proxy.close();
    const ended = await run("--wait", "1", "--", ...tell);
    expectFailure(
      ended,
      1,
      /the proxy at http:\/\/127\.0\.0\.1:\d+ does not answer \(ECONNREFUSED\); tried \d times\./,
    );
    expect(ended.stderr).toContain(url);
    proxy = await serve(() => ({ status: 500 }));
  });

  cases("a metadata server that is down: the proxy is not asked", async () => {
    await metadata.close();
    expectFailure(
      await run("--wait", "1", "--", ...tell),
      1,
      /the metadata server at 127\.0\.0\.1:\d+ does not answer/,
    );
    expect(proxy.asked).toEqual([]);
    metadata = await serveMetadata(ACCOUNT);
  });

  cases("SIGTERM ends the waiting with 143", async () => {
    proxy.next("silence");
    const { child, ended } = startExec(it, ["--", ...tell], env);
    while (proxy.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGTERM");
    expect(await ended).toMatchObject({ code: 143, stdout: "" });
  });
}

function refusalCases(cases: Cases, run: Run): void {
  const refused: [string, Reply, RegExp][] = [
    [
      "403 is told with the proxy's own sentence",
      { status: 403, body: { code: "policy_denied", message: "policy_denied: the execution is not of billing" } },
      /the proxy refused the claim: policy_denied: the execution is not of billing\.\n/,
    ],
    [
      "404 is told with the proxy's own sentence",
      { status: 404, body: { code: "not_found", message: "not_found: there is no such execution" } },
      /not_found: there is no such execution\.\n/,
    ],
    [
      "409 of a revoked run is told with the proxy's own sentence",
      { status: 409, body: { code: "label_retired", message: "label_retired: it was revoked" } },
      /label_retired: it was revoked\.\n/,
    ],
    [
      "404 of another server is told as such",
      { status: 404, body: "<html>" },
      /answered 404, which is no answer of the proxy/,
    ],
    ["a success without JSON is none", { status: 200, body: "hello" }, /is not that of a claim/],
    ["a success without variables is none", { status: 201, body: { key_id: "x" } }, /is not that of a claim/],
    ["an answer without end is cut off", { status: 200, body: "x".repeat(5_000_000) }, /is too large/],
  ];
  for (const [title, reply, sentence] of refused) {
    cases(`${title}, after one request`, async () => {
      proxy.next(reply);
      expectFailure(await run("--", ...tell), 1, sentence);
      expect(proxy.asked).toHaveLength(1);
    });
  }

  const text = (name: string) => ({ name, kind: "text", value: "/tmp/x" });
  const variables: [string, object][] = [
    ["of a task's own index", { name: "CLOUD_RUN_TASK_INDEX", kind: "text", value: "0" }],
    ["of where the proxy is", { name: "KEYBRAKE_URL", kind: "text", value: "https://elsewhere.example" }],
    ...[
      ...["LD_PRELOAD", "NODE_OPTIONS", "PYTHONPATH", "PATH", "BASH_ENV", "HTTPS_PROXY", "NODE_EXTRA_CA_CERTS"],
      ...["SSL_CERT_FILE", "GCE_METADATA_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "K_SERVICE"],
    ].map((name): [string, object] => [`that decides what the command runs or trusts, ${name}`, text(name)]),
    ["of an unknown kind", { name: "STRIPE_API_KEY", kind: "file", value: "x" }],
    ["with a name in lower case", { name: "path", kind: "text", value: "x" }],
    ["with a path that leads elsewhere", { name: "STRIPE_API_BASE", kind: "path", value: "@elsewhere.example" }],
    ["with a line break in it", { name: "STRIPE_API_KEY", kind: "text", value: "a\nb" }],
    ["without a value", { name: "STRIPE_API_KEY", kind: "text" }],
  ];
  for (const [what, variable] of variables) {
    cases(`an answer with a variable ${what} starts nothing`, async () => {
      proxy.next({ status: 200, body: { ...claimed, variables: [...claimed.variables, variable] } });
      expectFailure(await run("--", ...tell), 1, /is not that of a claim/);
    });
  }

  cases("a redirect is not followed: the token goes nowhere else", async () => {
    const elsewhere = await serve(() => ({ status: 201, body: claimed }));
    proxy.next({ status: 307, headers: { location: `${elsewhere.url}/claim` } });
    expectFailure(await run("--", ...tell), 1, /answered 307, a redirect, which is not followed/);
    expect(elsewhere.asked).toEqual([]);
    await elsewhere.close();
  });

  cases("a task without a service account is told by the metadata server's answer", async () => {
    metadata.next({ status: 404 });
    expectFailure(
      await run("--", ...tell),
      1,
      /the metadata server at \S+ answered 404: does the job have a service account\?/,
    );
    expect(proxy.asked).toEqual([]);
  });

  cases("what is no ID token is sent to nobody", async () => {
    metadata.next({ status: 200, body: "hello\r\nx-evil: 1" });
    expectFailure(await run("--", ...tell), 1, /answered something that is no ID token/);
    expect(proxy.asked).toEqual([]);
  });

  cases("no failure repeats the token or a vault key", async () => {
    const token = tokenOf(ACCOUNT, AUDIENCE);
    const message = `policy_denied: you sent ${token} for ${claimed.vault_key}~1~0,\n\u001b[31mred`;
    proxy.next({ status: 403, body: { code: "policy_denied", message } });
    const ended = await run("--", ...tell);
    expectFailure(ended, 1, /policy_denied: you sent … for vk_…, \[31mred\.\n/);
    expect(ended.stderr).not.toContain(token);
    expect(ended.stderr).not.toContain(claimed.vault_key);
  });
}

function usageCases(cases: Cases, run: Run): void {
  const arguments_: [string, string[], RegExp][] = [
    ["no command", [], /there is no command; write `exec -- COMMAND…`\./],
    ["nothing behind the dashes", ["--"], /there is no command/],
    ["an unknown option", ["--shell", "true"], /`--shell` is not an option of exec/],
    ["a wait without seconds", ["--wait", "soon", "true"], /`--wait` takes whole seconds from 1 to 3600/],
    ["a wait of nothing", ["--wait", "0", "true"], /`--wait` takes whole seconds/],
  ];
  for (const [what, args, sentence] of arguments_) {
    cases(`${what} is exit code 2`, async () => {
      expectFailure(await run(...args), 2, sentence);
    });
  }

  const wrong: [string, string, RegExp][] = [
    ["KEYBRAKE_URL", "", /KEYBRAKE_URL is not set: set it to the proxy's address/],
    ["KEYBRAKE_URL", "keybrake.example.com", /KEYBRAKE_URL is no address/],
    ["KEYBRAKE_URL", "https://user:pw@keybrake.example.com", /KEYBRAKE_URL is no address/],
    ["KEYBRAKE_URL", "https://keybrake.example.com/?a=b", /KEYBRAKE_URL is no address/],
    [
      "KEYBRAKE_URL",
      "http://keybrake.example.com",
      /http:\/\/ to keybrake\.example\.com, where a vault key would travel unencrypted: use https:\/\/\./,
    ],
    ["KEYBRAKE_URL", "http://127.0.0.1.example.com", /would travel unencrypted/],
    ["KEYBRAKE_URL", "http://10.0.0.5:8080", /would travel unencrypted/],
    ["KEYBRAKE_URL", "http://127.0.0.1:99999", /KEYBRAKE_URL is no address/],
    ["KEYBRAKE_URL", "http://127.0.0.1:0", /KEYBRAKE_URL is no address/],
    ["KEYBRAKE_AUDIENCE", "", /KEYBRAKE_AUDIENCE is not set/],
    ["GCE_METADATA_HOST", "127.0.0.1:99999", /GCE_METADATA_HOST is not `host` or `host:port`: unset it\./],
    ["GCE_METADATA_HOST", "http://metadata", /GCE_METADATA_HOST is not `host` or `host:port`: unset it\./],
    ["CLOUD_RUN_JOB", "", /CLOUD_RUN_JOB is not set: exec runs in a task of a Cloud Run job/],
    ["CLOUD_RUN_EXECUTION", "", /CLOUD_RUN_EXECUTION is not set/],
    ["CLOUD_RUN_EXECUTION", "../../vault/keys", /CLOUD_RUN_EXECUTION is not as Cloud Run sets it/],
    ["CLOUD_RUN_TASK_INDEX", "one", /CLOUD_RUN_TASK_INDEX is not as Cloud Run sets it/],
    ["CLOUD_RUN_TASK_ATTEMPT", "", /CLOUD_RUN_TASK_ATTEMPT is not set/],
  ];
  for (const [name, value, sentence] of wrong) {
    cases(`${name}=${value} is told before anybody is asked`, async () => {
      env[name] = value;
      expectFailure(await run("--", ...tell), 1, sentence);
      expect([...metadata.asked, ...proxy.asked]).toEqual([]);
    });
  }
}
