// Command otelcol is the OpenTelemetry collector as the tests run it: it takes
// traces by OTLP and appends them to a file as JSON, one line for each request.
package main

import (
	"context"
	"log"
	"os"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

func main() {
	settings := otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "otelcol", Description: "collector of the tests", Version: "test"},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()}, DefaultScheme: "file",
		}},
	}
	if err := otelcol.NewCommand(settings).Execute(); err != nil {
		log.Fatal(err)
	}
}

func factories() (f otelcol.Factories, err error) {
	f.Telemetry = otelconftelemetry.NewFactory()
	if f.Receivers, err = otelcol.MakeFactoryMap(otlpreceiver.NewFactory()); err != nil {
		return f, err
	}
	f.Exporters, err = otelcol.MakeFactoryMap(newFile())
	return f, err
}

// config is that of the exporter.
type config struct {
	Path string `mapstructure:"path"`
}

// newFile is an exporter that appends traces to a file.
func newFile() exporter.Factory {
	create := func(ctx context.Context, s exporter.Settings, c component.Config) (exporter.Traces, error) {
		return exporterhelper.NewTraces(ctx, s, c, func(_ context.Context, t ptrace.Traces) error {
			line, err := new(ptrace.JSONMarshaler).MarshalTraces(t)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(c.(*config).Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write(append(line, '\n'))
			return err
		})
	}
	return exporter.NewFactory(component.MustNewType("file"), func() component.Config { return &config{} },
		exporter.WithTraces(create, component.StabilityLevelDevelopment))
}
