package main

import (
	keybrakegcp "example.com/pulumi-keybrake-gcp/sdk/go/keybrake-gcp"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() {
	launch := keybrakegcp.SetupModeLaunch
	pulumi.Run(func(ctx *pulumi.Context) error {
		keybrake, err := keybrakegcp.NewKeybrakeProxy(ctx, "keybrake", &keybrakegcp.KeybrakeProxyArgs{
			Location: "us-central1",
			Vendors:  []keybrakegcp.ProxyVendorInput{keybrakegcp.ProxyVendorArgs{Id: "stripe"}, keybrakegcp.ProxyVendorArgs{Id: "twilio"}},
		})
		if err != nil {
			return err
		}
		billing, err := keybrakegcp.NewBudgetedJob(ctx, "billing", &keybrakegcp.BudgetedJobArgs{
			Proxy:       keybrake.Reference,
			Image:       pulumi.String("us-docker.pkg.dev/my-project/images/billing-agent"),
			Tasks:       pulumi.Float64Ref(500),
			Parallelism: pulumi.Float64Ref(50),
			Setup:       &launch,
			Budget: keybrakegcp.JobBudgetArgs{
				UsdCap:           pulumi.Float64(2000),
				Vendors:          []string{"stripe"},
				AllowedEndpoints: pulumi.StringArray{pulumi.String("POST /v1/payment_intents")},
				ExpiresIn:        pulumi.String("2h"),
			},
			Schedule: &keybrakegcp.JobScheduleArgs{Cron: "0 2 * * *", TimeZone: pulumi.StringRef("Europe/Berlin")},
		})
		if err != nil {
			return err
		}
		ctx.Export("launchUrl", billing.LaunchUrl)
		return nil
	})
}
