// Loaded into the proxy by NODE_OPTIONS: connections to api.stripe.com go to a port of this machine. TLS and the certificate's
// name stay as they are. Plain JavaScript, because `npx` may run on an old Node.
import tls from "node:tls";

const { connect } = tls;
tls.connect = (options, ...rest) =>
  options?.host === "api.stripe.com"
    ? connect({ ...options, host: "127.0.0.1", port: Number(process.env.TEST_STRIPE_PORT) }, ...rest)
    : connect(options, ...rest);
