// One scene of stripe-go through the proxy; prints one JSON line.
// Arguments: scene, the proxy's URL, the vault key, amount, currency.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/stripe/stripe-go/v85"
)

type result struct {
	OK      bool   `json:"ok"`
	ID      string `json:"id,omitempty"`
	Class   string `json:"class,omitempty"`
	Type    string `json:"type,omitempty"`
	Status  int    `json:"status,omitempty"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

func main() {
	scene, url, key, currency := os.Args[1], os.Args[2], os.Args[3], os.Args[5]
	amount, err := strconv.ParseInt(os.Args[4], 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// Bare paths: stripe-go refuses the answer of a call to a URL with a path prefix.
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL:           stripe.String(url),
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	client := stripe.NewClient(key, stripe.WithBackends(&stripe.Backends{API: backend}))

	var id string
	if scene == "endpoint" {
		var made *stripe.Customer
		made, err = client.V1Customers.Create(context.Background(), &stripe.CustomerCreateParams{Name: stripe.String("not allowed")})
		if err == nil {
			id = made.ID
		}
	} else {
		var made *stripe.PaymentIntent
		made, err = client.V1PaymentIntents.Create(context.Background(), &stripe.PaymentIntentCreateParams{
			Amount:   stripe.Int64(amount),
			Currency: stripe.String(currency),
		})
		if err == nil {
			id = made.ID
		}
	}
	line, _ := json.Marshal(describe(id, err))
	fmt.Println(string(line))
}

func describe(id string, err error) result {
	if err == nil {
		return result{OK: true, ID: id}
	}
	var typed *stripe.Error
	if !errors.As(err, &typed) {
		return result{Class: fmt.Sprintf("%T", err), Message: err.Error()}
	}
	return result{
		Class:   fmt.Sprintf("%T", err),
		Type:    string(typed.Type),
		Status:  typed.HTTPStatusCode,
		Code:    string(typed.Code),
		Message: typed.Msg,
	}
}
