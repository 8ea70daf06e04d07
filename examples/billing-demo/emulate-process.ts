/** The simulated vendor's process: waits for its customers, starts emulate on a free port, tells where. Ends with its parent. */
import { createEmulator } from "emulate";

process.once("disconnect", () => process.exit(0));
process.once("message", async (seed: { customers: { id: string; name: string }[] }) => {
  const emulator = await createEmulator({ service: "stripe", port: 0, seed: { stripe: seed } });
  process.send?.({ url: emulator.url.replace("//localhost:", "//127.0.0.1:") });
});
