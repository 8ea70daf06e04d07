package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/stripe/stripe-go/v85"
)

func main() {
	// No path behind the host: with one, stripe-go rejects the answer after the vendor has acted.
	proxy := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(os.Getenv("KEYBRAKE_URL")),
	})
	key := fmt.Sprintf("%s~%s~%s", os.Getenv("KEYBRAKE_VAULT_KEY"), or("CLOUD_RUN_TASK_INDEX", "0"), or("CLOUD_RUN_TASK_ATTEMPT", "0"))
	client := stripe.NewClient(key, stripe.WithBackends(&stripe.Backends{API: proxy}))

	intent, err := client.V1PaymentIntents.Create(context.Background(), &stripe.PaymentIntentCreateParams{
		Amount:   stripe.Int64(4000),
		Currency: stripe.String(string(stripe.CurrencyUSD)),
	})
	var refused *stripe.Error
	if errors.As(err, &refused) && refused.Code == "cap_exhausted" {
		fmt.Println("the run's budget is used up")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("created", intent.ID)
}

// or reads a variable of the environment, with a default.
func or(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
