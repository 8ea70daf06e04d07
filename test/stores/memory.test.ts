import { MemoryStore } from "../../service/stores/memory.ts";
import { storeContract } from "./contract.ts";
import { START } from "./samples.ts";

storeContract("memory", async () => {
  let now = START;
  const store = new MemoryStore({ clock: { now: () => now } });
  return {
    store,
    setTime: (ms) => {
      now = ms;
    },
  };
});
