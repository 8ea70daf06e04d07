/** The official Firestore emulator. Tests take the one that their run shares, from on-emulator.ts. */
export { type Emulator, emulatorMissing, startEmulator } from "../../examples/local-cloud/firestore-emulator.ts";
