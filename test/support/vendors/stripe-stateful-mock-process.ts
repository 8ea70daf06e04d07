import { createServer, type RequestListener } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";

// Its types ask for an older major version of the `stripe` package than the one installed.
const mock = createRequire(import.meta.url)("stripe-stateful-mock") as { createExpressApp(): RequestListener };

const server = createServer(mock.createExpressApp());
server.listen(0, "127.0.0.1", () => console.log(`listening ${(server.address() as AddressInfo).port}`));
