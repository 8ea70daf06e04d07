/**
 * Goal: the instrument itself can fail. Before the components are judged by the test's `gcp` provider, that provider must
 * report a wrong input by its path, keep secrets marked, replace what cannot be changed, and refuse what Google refuses.
 * Method: small programs of plain @pulumi/gcp resources in the real engine. Limits: see gcp/provider.ts.
 */
import * as gcp from "@pulumi/gcp";
import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Bench, openBench } from "./bench.ts";

/** What tsc would refuse: the SDK passes nested values on as they are. */
function untyped<T>(value: unknown): pulumi.Input<T> {
  return value as pulumi.Input<T>;
}

describe("the test's gcp provider", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await openBench();
  });
  afterEach(() => bench.close());

  const account = (displayName: string) => async () => {
    const made = new gcp.serviceaccount.Account("agent", { accountId: "billing-agent", displayName });
    new gcp.projects.IAMMember("reader", { project: "engine-test", role: "roles/viewer", member: made.member });
  };

  test("creates, finds nothing to do, updates in place, and removes", async () => {
    const up = await bench.up(account("one"));
    expect(up.changes.map(({ op }) => op)).toEqual(["create", "create"]);
    expect(bench.cloud.ids()).toHaveLength(2);
    expect((await bench.up(account("one"))).changes).toEqual([]);
    expect((await bench.preview(account("two"))).changes).toEqual([
      { op: "update", type: "gcp:serviceaccount/account:Account", name: "agent", properties: ["displayName"] },
    ]);
    await bench.type(["destroy", "--yes", "--stack", "test"]);
    expect(bench.cloud.ids()).toEqual([]);
  });

  test("replaces what cannot be changed in place, and what hangs on it", async () => {
    const named = (accountId: string) => async () => {
      const made = new gcp.serviceaccount.Account("agent", { accountId });
      new gcp.projects.IAMMember("reader", { project: "engine-test", role: "roles/viewer", member: made.member });
    };
    await bench.up(named("billing-agent"));
    const { changes } = await bench.up(named("other-agent"));
    expect(changes.filter(({ op }) => op === "replace").map(({ name, properties }) => [name, properties])).toEqual([
      ["agent", ["accountId"]],
      ["reader", ["member"]],
    ]);
    expect(bench.cloud.ids()).toHaveLength(2);
  });

  test.each([
    ["a misspelt nested property", { containers: [{ imagee: "x" }] }, /template\.containers\[0\]\.imagee/],
    ["a missing nested property", { containers: [{}] }, /template\.containers\[0\]\.image\b/],
    ["a number for a text", { serviceAccount: 7 }, /template\.serviceAccount/],
    ["an object for a list", { containers: { image: "x" } }, /template\.containers.*must be a list/],
  ])("stops a preview at %s and names its path", async (_, template, message) => {
    const program = async () => {
      new gcp.cloudrunv2.Service("proxy", { location: "us-central1", template: untyped(template) });
    };
    await expect(bench.preview(program)).rejects.toThrow(message);
  });

  test("keeps a secret marked, so that the state holds it encrypted", async () => {
    await bench.up(async () => {
      const description = pulumi.secret("not for the state");
      new gcp.serviceaccount.Account("agent", { accountId: "billing-agent", description });
    });
    expect(await bench.state()).not.toContain("not for the state");
  });

  test("refuses to delete a Cloud Run service and a database that are protected", async () => {
    await bench.up(async () => {
      const containers = [{ image: "x" }];
      new gcp.cloudrunv2.Service("proxy", { location: "us-central1", template: { containers } });
      const protection = { deletionPolicy: "DELETE", deleteProtectionState: "DELETE_PROTECTION_ENABLED" };
      new gcp.firestore.Database("ledger", { locationId: "us-central1", type: "FIRESTORE_NATIVE", ...protection });
    });
    await expect(bench.type(["destroy", "--yes", "--stack", "test"])).rejects.toThrow(
      /deletion_protection=false|delete protection/,
    );
    expect(bench.cloud.ids()).toHaveLength(2);
  });
});
