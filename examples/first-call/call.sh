proxy=${KEYBRAKE_URL:-http://127.0.0.1:8080}
admin="Authorization: Bearer $KEYBRAKE_ADMIN_KEY"
issued=$(curl -sS "$proxy/vault/keys" -H "$admin" -H 'content-type: application/json' -d '{
  "vendor": "stripe", "usd_cap": 500, "allowed_endpoints": ["POST /v1/payment_intents"],
  "expires_in": "2h", "label": "billing-nightly-1" }')
vault_key=$(echo "$issued" | sed 's/.*"vault_key":"\([^"]*\)".*/\1/')

curl -sS "$proxy/stripe/v1/payment_intents" -H "Authorization: Bearer $vault_key" -d amount=4000 -d currency=usd
curl -sS "$proxy/audit?label=billing-nightly-1" -H "$admin"
