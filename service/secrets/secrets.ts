/** Where the vendors' real secrets come from: `env:NAME`, `file:PATH`, or `projects/P/secrets/S` of Secret Manager. */
export interface SecretSource {
  /** The secret of a vendor. Throws `Refusal("vendor_secret_unavailable")` naming the vendor and the reference, never the value. */
  get(vendorId: string): Promise<string>;
  /** Fetches anew after the vendor's 401; at most once in 10 s a vendor, else answers what is cached. @returns true when the value changed. */
  refresh(vendorId: string): Promise<boolean>;
}
