import type { Reporter, TestModule } from "vitest/node";

/** Ends a run with what was not proved and why (tests that name a missing runtime), and one plain line of counts. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandled.length, skipped: 0, pending: 0 };
    const skipped = new Set<string>();
    for (const module of modules) {
      if (module.state() === "failed" && module.errors().length > 0) counts.failed += 1;
      for (const test of module.children.allTests()) {
        counts[test.result().state] += 1;
        if (test.result().state === "skipped") skipped.add(whatWasLeftOut(test.fullName));
      }
    }
    for (const name of skipped) console.log(`NOT PROVED HERE: ${name}`);
    console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped + counts.pending} skipped`);
  }
}

/** A suite that is left out says why in its own name: one line for all of its tests. */
function whatWasLeftOut(fullName: string): string {
  return /^.*?\(left out: .*?\)(?= > |$)/.exec(fullName)?.[0] ?? fullName;
}
