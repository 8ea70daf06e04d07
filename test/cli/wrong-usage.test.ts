/**
 * Goal: whoever types something wrong learns in one sentence what to type instead, and scripts see exit code 2.
 * Method: the real executable with a table of wrong usages (help texts inside the test); none of them may reach a proxy (the URL would answer nothing).
 * Limit: the sentences are matched by the part that names the fix, not word by word.
 */
import { describe, expect, it } from "vitest";
import service from "../../service/package.json" with { type: "json" };
import { runCli } from "./run-cli.ts";
import { runHere } from "./run-here.ts";

const key = "a".repeat(26);
const env = { KEYBRAKE_URL: "http://127.0.0.1:9", KEYBRAKE_ADMIN_KEY: "k".repeat(40) };
const issue = ["keys", "issue", "--expires-in", "2h", "--label", "l"];

interface Wrong {
  what: string;
  args: string[];
  says: RegExp;
  env?: Record<string, string>;
  stdin?: string;
}

const table: Wrong[] = [
  { what: "an unknown command", args: ["frobnicate"], says: /unknown command 'frobnicate'/ },
  { what: "a command written nearly right", args: ["audti"], says: /Did you mean audit\?/ },
  { what: "an unknown option", args: ["audit", "--labl", "x"], says: /Did you mean --label\?/ },
  { what: "an argument too many", args: ["keys", "show", key, "more"], says: /too many arguments/ },
  { what: "a missing argument", args: ["keys", "show"], says: /missing required argument 'key_id'/ },
  { what: "a vault key's text where its id belongs", args: ["keys", "show", `vk_1_${key}_x`], says: /give its key_id/ },
  { what: "a key_id of another shape", args: ["keys", "revoke", "../audit"], says: /key_id of 26 letters/ },
  { what: "a call_id with a slash", args: ["calls", "show", "a/b"], says: /call_id as `keybrake audit` shows/ },
  { what: "no vendor", args: [...issue, "--usd-cap", "1", "--allow", "*"], says: /`--vendor stripe`/ },
  { what: "no endpoint", args: [...issue, "--usd-cap", "1", "--vendor", "stripe"], says: /--allow 'POST/ },
  { what: "no cap", args: [...issue, "--vendor", "stripe", "--allow", "*"], says: /give `--usd-cap`/ },
  { what: "no label", args: ["keys", "issue", "--expires-in", "2h"], says: /required option '--label/ },
  { what: "parts of a cent in a cap", args: [...issue, "--usd-cap", "1.005"], says: /at most two decimals/ },
  { what: "a negative cap", args: ["keys", "raise", key, "--usd-cap=-5"], says: /Give dollars/ },
  { what: "an exponent in a cap", args: ["keys", "raise", key, "--usd-cap", "1e3"], says: /Give dollars/ },
  { what: "a count of zero", args: [...issue, "--max-calls", "0"], says: /whole number from 1/ },
  {
    what: "a cost with seven decimals",
    args: ["calls", "settle", "c", "--cost-usd", "0.0000001", "--reason", "r"],
    says: /six decimals/,
  },
  { what: "a decision without a reason", args: ["calls", "release", "c"], says: /required option '--reason/ },
  { what: "an unknown format", args: ["audit", "--format", "xml"], says: /none of table, json, ndjson, csv/ },
  { what: "two formats", args: ["audit", "--format", "csv", "--json"], says: /contradict each other/ },
  { what: "all rows and so many rows", args: ["audit", "--all", "--limit", "5"], says: /give one of them/ },
  { what: "an unknown state", args: ["audit", "--state", "lost"], says: /none of reserved, settled/ },
  { what: "a time that is none", args: ["audit", "--since", "yesterday"], says: /2026-11-22T18:30:00Z/ },
  { what: "a date that does not exist", args: ["audit", "--until", "2026-13-45"], says: /is no time/ },
  { what: "an unknown grouping", args: ["audit", "summary", "--group-by", "colour"], says: /none of task, vendor/ },
  { what: "a summary as CSV", args: ["audit", "summary", "--format", "csv"], says: /`table` or `json`/ },
  { what: "a chain head that is none", args: ["keys", "proof", key, "--head", "abc"], says: /64 hex digits/ },
  { what: "a URL that is none", args: ["reconcile", "--url", "localhost:8080"], says: /http:\/\/127\.0\.0\.1:8080/ },
  { what: "a URL with a password", args: ["reconcile", "--url", "http://u:p@127.0.0.1"], says: /without user/ },
  { what: "plain http to another host", args: ["reconcile", "--url", "http://proxy.example"], says: /use https:\/\// },
  {
    what: "no admin key",
    args: ["reconcile"],
    says: /set KEYBRAKE_ADMIN_KEY/,
    env: { KEYBRAKE_URL: env.KEYBRAKE_URL },
  },
  { what: "an admin key file that is not there", args: ["reconcile", "--admin-key-file", "/no/such"], says: /ENOENT/ },
  { what: "an empty admin key on stdin", args: ["reconcile", "--admin-key-file", "-"], says: /there is no admin key/ },
  {
    what: "an admin key of two lines",
    args: ["reconcile", "--admin-key-file", "-"],
    stdin: "a\nb\n",
    says: /one line/,
  },
];

describe("wrong usage", () => {
  it.concurrent.each(table)("$what exits 2 with a sentence that names the fix", async (wrong) => {
    const result = await runCli(wrong.args, { env: wrong.env ?? env, stdin: wrong.stdin ?? "" });
    expect(result.stderr).toMatch(wrong.says);
    expect(result.stderr).toMatch(/^keybrake: [^\n]+ Run `keybrake[a-z ]* --help`\.\n$/);
    expect(result).toMatchObject({ code: 2, stdout: "" });
  });

  it("a group without its command exits 2 and shows the commands", async () => {
    const result = await runCli(["keys"]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toMatch(/issue .*get the one it has/s);
  });

  it("no command at all exits 2 and shows the commands", async () => {
    const result = await runCli([]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain("keybrake keys issue --vendor stripe");
  });
});

describe("help", () => {
  const commands = [
    "",
    "serve",
    "keys",
    "keys issue",
    "keys list",
    "keys show",
    "keys revoke",
    "keys pause",
    "keys resume",
    "keys raise",
    "keys proof",
    "audit",
    "audit summary",
    "calls",
    "calls show",
    "calls settle",
    "calls release",
    "reconcile",
    "run",
    "exec",
    "issuers",
    "issuers create",
    "issuers list",
    "issuers revoke",
    "secrets",
    "secrets set",
    "secrets list",
    "quote",
  ];
  it.each(commands)("`keybrake %s --help` exits 0 and says how to use it", async (command) => {
    const result = await runHere([...command.split(" ").filter(Boolean), "--help"]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toMatch(new RegExp(`^Usage: keybrake ${command}`));
  });
});

describe("the executable", () => {
  it("on an old Node says which one it needs, and exits 1", async () => {
    const old = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})";
    const result = await runCli(["audit"], { env: { ...env, NODE_OPTIONS: `--import "data:text/javascript,${old}"` } });
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(
      /^keybrake: this is Node 20\.20\.2, and keybrake needs Node 22\.19 or later\.[^\n]*\n$/,
    );
  });

  it("--version is the service's", async () => {
    expect(await runCli(["--version"])).toEqual({ code: 0, stdout: `${service.version}\n`, stderr: "" });
  });
});
