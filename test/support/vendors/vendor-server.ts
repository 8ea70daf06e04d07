/** A third party's server that plays a vendor in the tests, on a free port of 127.0.0.1. */
export interface VendorServer {
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  url: string;
  /** The secret that the proxy gets for this vendor, in the form of `KEYBRAKE_VENDORS`' secrets. */
  secret: string;
  pid: number;
  stop(): Promise<void>;
}
