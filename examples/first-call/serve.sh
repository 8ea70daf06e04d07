export KEYBRAKE_ADMIN_KEY=$(openssl rand -hex 32)
export KEYBRAKE_VENDORS='{"stripe":{"secret":"env:STRIPE_SECRET_KEY"}}'
npx keybrake serve &
