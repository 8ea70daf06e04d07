/**
 * Goal: what README.md and the other documents say is what the code does and what the repository has.
 * Method: read the documents as data, and compare blocks with the examples that other tests run, tables with the code they tell
 * of, links with files, commands with the command line. `first-call.test.ts` and `sdk-examples.test.ts` run the blocks.
 * Limit: sentences are not read.
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import packages from "../../package.json" with { type: "json" };
import { issueBody, limitsBody } from "../../service/control/issue-body.ts";
import { runHere } from "../cli/run-here.ts";
import { between, blocksOf, cellsOf, codeSpans, linksOf, read, root, tableBelow } from "./markdown.ts";
import { tables } from "./tables.ts";

const readme = read("README.md");
const exampleGuides = readdirSync(join(root, "examples"))
  .map((name) => `examples/${name}/README.md`)
  .filter((file) => existsSync(root + file));
const documents = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", ...exampleGuides];

const codesOf = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);

describe("blocks", () => {
  const blocks = documents.flatMap((file) => blocksOf(read(file)).map((block) => ({ file, ...block })));

  it.each(blocks.filter(({ linked }) => linked !== null))(
    "$file, line $line, is $linked to the letter, which a test runs",
    ({ text, linked }) => {
      // Each file of the first two directories is run by the tests beside this one; policies are read by
      // test/policies/example.test.ts, and test/examples/pulumi-programs.test.ts checks and runs the program.
      expect(linked).toMatch(/^examples\/(first-call|sdks|policies|pulumi-typescript)\/[\w.-]+$/);
      expect(text).toBe(read(linked!));
    },
  );

  it("are otherwise commands for the shell, which are run, or pictures", () => {
    const others = blocks.filter(({ linked }) => linked === null);
    for (const { language, text } of others) {
      expect(["sh", ""]).toContain(language);
      if (language === "") expect(text).toMatch(/[─│►]/);
    }
  });

  it("show both files of the first call", () => {
    const shown = blocks.map(({ linked }) => linked);
    for (const name of readdirSync(join(root, "examples/first-call")))
      expect(shown).toContain(`examples/first-call/${name}`);
  });
});

describe("tables", () => {
  it.each(Object.keys(tables))("%s is made from the code: run `npm run docs` when this fails", (name) => {
    expect(cellsOf(between(readme, name))).toEqual(cellsOf(tables[name]!));
  });

  it("the fields of POST /vault/keys are those that it takes", () => {
    const rows = tableBelow(readme, "What a key bounds");
    expect(rows.flatMap(([names]) => codesOf(names!)).sort()).toEqual(Object.keys(issueBody.shape).sort());
    const limits = rows.find(([names]) => names === "`limits`")!;
    expect(codesOf(limits[1]!).sort()).toEqual(Object.keys(limitsBody.shape).sort());
  });

  it("the configuration's variables are those that the service knows", () => {
    const rows = tableBelow(readme, "Configuration of `keybrake serve`");
    const reads = read("service/config.ts").matchAll(/\b(?:get\("|env\.)([A-Z_]+)/g);
    // Cloud Run sets K_SERVICE, nobody else.
    const known = new Set([...reads].map((match) => match[1]!).filter((name) => name !== "K_SERVICE"));
    expect(rows.flatMap(([names]) => codesOf(names!)).sort()).toEqual([...known].sort());
  });

  it("the SDK table links every program of examples/sdks, and names the versions that are tested", () => {
    const rows = tableBelow(readme, "Pointing the SDKs at the proxy");
    const linked = rows.flatMap(([name]) => linksOf(name!));
    const programs = readdirSync(join(root, "examples/sdks")).filter((name) => name !== "requirements.txt");
    expect(linked.map((link) => link.split("/")[2]).sort()).toEqual(programs.sort());
    const pinned: Record<string, string> = { go: /v(\d\S+)$/m.exec(read("examples/sdks/stripe-go/go.mod"))![1]! };
    for (const name of ["stripe", "twilio", "resend"] as const) {
      pinned[`${name}-node`] = packages.devDependencies[name];
      pinned[`${name}_python`] = new RegExp(`^${name}==(.*)$`, "m").exec(read("examples/sdks/requirements.txt"))![1]!;
    }
    for (const [name, version] of rows) {
      const program = linksOf(name!)[0]!.split("/")[2]!;
      expect(version, program).toBe(pinned[program === "stripe-go" ? "go" : program.split(".")[0]!]);
    }
  });
});

describe("names", () => {
  it.each(documents)("every link of %s leads to a file", (file) => {
    for (const link of linksOf(read(file))) {
      if (link.startsWith("https://")) continue;
      const target = normalize(join(dirname(file), link.split("#")[0]!));
      expect(existsSync(root + target), `${file}: ${link}`).toBe(true);
    }
  });

  it("every path that ARCHITECTURE.md names exists", () => {
    const missing = codeSpans(read("ARCHITECTURE.md"))
      .filter((span) => /^[\w./-]+(\.ts|\/)$/.test(span))
      .filter(
        (span) =>
          !["", "service/", "service/ledger/", "service/vendors/", "service/data/"].some((at) =>
            existsSync(root + at + span),
          ),
      );
    expect(missing).toEqual([]);
  });

  it.each(documents)("every npm script of %s exists", (file) => {
    const scripts: Record<string, string> = packages.scripts;
    for (const [, name] of read(file).matchAll(/npm (?:run )?((?<=run )[\w:]+|test)/g))
      expect(scripts).toHaveProperty(name!);
  });

  it.each(documents)("every `keybrake` command of %s is one, and takes the options that are shown", async (file) => {
    for (const span of codeSpans(read(file)).filter((text) => /^(npx )?keybrake [a-z]/.test(text))) {
      const words = span.replace(/^npx /, "").split(" ").slice(1);
      const end = words.findIndex((word) => !/^[a-z]+$/.test(word));
      const names = end < 0 ? words : words.slice(0, end);
      const help = await runHere([...names, "--help"]);
      expect(help.code, span).toBe(0);
      expect(help.stdout, span).toContain(`keybrake ${names.join(" ")}`);
      for (const option of words.filter((word) => word.startsWith("--")))
        expect(help.stdout, span).toMatch(new RegExp(`${option}[ ,]`));
    }
  });
});
