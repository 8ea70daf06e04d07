/**
 * Goal: every program of examples/sdks does what the README says of it: one call through the proxy, no second one when its task runs
 * again, exit 0 when the cap is exhausted.
 * Method: each file of the directory runs as it stands, in its own language, against a real proxy and emulate's servers. Only
 * environment variables are set.
 * Limit: the pinned versions of the SDKs; the vendors are simulated.
 */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mail, type SdkRig, type SdkVendor, startSdkRig, twilioAccount, vendorCount } from "../sdk/scenes.ts";
import { goMissing, goProgram, nameOf, pythonMissing, pythonWith } from "../support/runtimes.ts";
import { twilioSender } from "../support/vendors/emulate.ts";
import { read, root } from "./markdown.ts";

const directory = join(root, "examples/sdks");
const requirements = read("examples/sdks/requirements.txt").trim().split("\n");

type Prepare = (file: string) => Promise<[command: string, ...args: string[]]>;

const languages: { ending: RegExp; missing: string | null; prepare: Prepare }[] = [
  { ending: /\.ts$/, missing: null, prepare: async (file) => [process.execPath, file] },
  { ending: /\.py$/, missing: pythonMissing, prepare: async (file) => [await pythonWith(requirements), file] },
  { ending: /-go$/, missing: goMissing, prepare: async (file) => [await goProgram(file, "stripe-example")] },
];

const examples = readdirSync(directory)
  .filter((name) => name !== "requirements.txt")
  .map((name) => ({
    name,
    vendor: name.split(/[-_]/)[0] as SdkVendor,
    ...languages.find(({ ending }) => ending.test(name))!,
  }));

let rig: SdkRig;
beforeAll(async () => {
  rig = await startSdkRig();
}, 60_000);
afterAll(() => rig?.stop());

/** A mail costs less than the smallest cap: eleven recipients leave no room for another. */
async function spendTheCent(vaultKey: string): Promise<void> {
  const response = await fetch(`${rig.proxy.url}/resend/emails`, {
    method: "POST",
    headers: { authorization: `Bearer ${vaultKey}`, "content-type": "application/json" },
    body: JSON.stringify({ ...mail, to: mail.to.slice(0, 11) }),
  });
  expect(response.status).toBe(200);
}

describe.each(examples)("examples/sdks/$name", ({ name, vendor, missing, prepare }) => {
  describe.skipIf(missing !== null)(nameOf("as a task", missing), () => {
    let program: Awaited<ReturnType<Prepare>>;
    beforeAll(async () => {
      program = await prepare(join(directory, name));
    }, 320_000);

    const count = (): Promise<number> => vendorCount(vendor, rig.vendors[vendor]);

    function run(vaultKey: string, attempt: string): Promise<{ code: number; stdout: string; stderr: string }> {
      const [command, ...args] = program;
      const { PATH = "", HOME = "" } = process.env;
      const env = {
        PATH,
        HOME,
        PYTHONDONTWRITEBYTECODE: "1",
        KEYBRAKE_URL: rig.proxy.url,
        KEYBRAKE_VAULT_KEY: vaultKey,
        CLOUD_RUN_TASK_INDEX: "7",
        CLOUD_RUN_TASK_ATTEMPT: attempt,
        TWILIO_ACCOUNT_SID: twilioAccount,
        TWILIO_FROM: twilioSender,
        TWILIO_TO: "+14155550100",
      };
      return new Promise((resolve) => {
        execFile(command, args, { cwd: root, env, timeout: 60_000 }, (error, stdout, stderr) => {
          resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
        });
      });
    }

    it("makes one call, and running again as attempt 1 it is answered with that call and nothing is sent", async () => {
      const { vaultKey } = await rig.keyFor(vendor, "success", name);
      const before = await count();
      const first = await run(vaultKey, "0");
      expect(first).toMatchObject({ code: 0, stdout: expect.stringMatching(/^created \S+\n$/) });
      expect(await run(vaultKey, "1")).toMatchObject({ code: 0, stdout: first.stdout });
      expect(await count()).toBe(before + 1);
    }, 90_000);

    it("says so and ends with 0 when the cap is exhausted, and nothing is sent", async () => {
      const { vaultKey } = await rig.keyFor(vendor, "cap", name);
      if (vendor === "resend") await spendTheCent(vaultKey);
      const before = await count();
      expect(await run(vaultKey, "0")).toMatchObject({ code: 0, stdout: "the run's budget is used up\n" });
      expect(await count()).toBe(before);
    }, 90_000);

    it("ends with an error for any other refusal", async () => {
      const { vaultKey, keyId } = await rig.keyFor(vendor, "success", name);
      await rig.proxy.admin("DELETE", `/vault/keys/${keyId}`);
      const ended = await run(vaultKey, "0");
      expect(ended.code).not.toBe(0);
      expect(ended.stderr).toContain("key_revoked");
    }, 90_000);
  });
});
