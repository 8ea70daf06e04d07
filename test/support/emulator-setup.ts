/**
 * One Firestore emulator for a whole run of the tests, started when the first test file asks for it: the set-up listens on
 * loopback, and answers with the emulator's place. A run that needs none starts none.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestProject } from "vitest/node";
import { type Emulator, startEmulator } from "./emulator.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Answers `GET` with the place of the run's emulator. */
    emulatorDoor: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let emulator: Promise<Emulator> | null = null;
  const door = createServer((_request, response) => {
    emulator ??= startEmulator();
    emulator.then(
      ({ host }) => response.end(host),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  door.listen(0, "127.0.0.1");
  await once(door, "listening");
  project.provide("emulatorDoor", `http://127.0.0.1:${(door.address() as AddressInfo).port}/`);
  return async () => {
    door.close();
    door.closeAllConnections();
    await emulator?.then(
      (started) => started.stop(),
      () => {
        // It never ran: the tests that asked for it have failed with the reason.
      },
    );
  };
}
