/**
 * For tests that need Firestore: the emulator that the whole run shares. Where there is none the tests are skipped, their
 * names say why, and the run's last lines repeat it.
 */
import { randomBytes } from "node:crypto";
import { beforeAll, describe, inject } from "vitest";
import { emulatorMissing } from "./emulator.ts";

export interface OnEmulator {
  /** `127.0.0.1:PORT` for FIRESTORE_EMULATOR_HOST. */
  readonly host: string;
  /** A database with nothing in it, as KEYBRAKE_STORE takes it: a new one with each call. */
  freshStore(): string;
}

/**
 * `describe` for what needs the emulator. `emulator.host` can be read in tests and in hooks, not while tests are collected.
 * @example describeOnEmulator("store contract", (emulator) => test("…", () => openStore(emulator.freshStore(), …)));
 */
export function describeOnEmulator(name: string, tests: (emulator: OnEmulator) => void): void {
  const fullName = emulatorMissing === null ? name : `${name} (left out: ${emulatorMissing})`;
  describe.skipIf(emulatorMissing !== null)(fullName, () => {
    let host: string | null = null;
    beforeAll(async () => {
      host = await sharedEmulator();
    });
    tests({
      get host() {
        if (host === null) throw new Error("The emulator's place is known in tests and hooks only.");
        return host;
      },
      freshStore,
    });
  });
}

/** Place of the run's emulator, started by the first that asks. FIRESTORE_EMULATOR_HOST names one that runs already. */
export async function sharedEmulator(): Promise<string> {
  const running = process.env.FIRESTORE_EMULATOR_HOST;
  if (running) return running;
  const response = await fetch(inject("emulatorDoor"));
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}

/** The emulator makes projects and databases as they are named: a random name is an empty database. */
export function freshStore(): string {
  return `firestore:test-${randomBytes(8).toString("hex")}/keybrake`;
}
