/** Arguments: the service, its seed as JSON. */
import { createEmulator, type SeedConfig, type ServiceName } from "emulate";

const [service, seed] = process.argv.slice(2);
const emulator = await createEmulator({
  service: service as ServiceName,
  port: 0,
  seed: JSON.parse(seed ?? "{}") as SeedConfig,
});
console.log(`listening ${emulator.url}`);
