package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker/identity"
)

// Remote is a broker in another process.
type Remote struct {
	URL  string // tls://host:port; nats://host:port without TLS, to a loopback address only
	TLS  *TLS   // for tls://: the client's end
	User Key
}

// Dial opens a connection to r. It does not fail because the broker is not there now, refuses the user or shows a wrong
// certificate: it goes on trying, for ever, and logs why it has no connection, so that processes may start in any order
// and an error of the other side can be mended there. A renewed certificate file is read at the next connection. The
// options given come after weft's own and win over them.
func Dial(r Remote, log *slog.Logger, opts ...nats.Option) (*nats.Conn, error) {
	secure, err := r.options()
	if err != nil {
		return nil, fmt.Errorf("connecting to the broker: %w", err)
	}
	own := append([]nats.Option{
		nats.RetryOnFailedConnect(true),
		nats.IgnoreDiscoveredServers(), // we choose whom to dial
		nats.IgnoreAuthErrorAbort(),
		nats.ConnectHandler(func(nc *nats.Conn) {
			log.Info("connected to the broker", "url", r.URL)
		}),
		nats.ReconnectErrHandler(complain(r, log)),
	}, secure...)
	nc, err := nats.Connect(r.URL, options(r.User, log, append(own, opts...))...)
	if err != nil {
		return nil, fmt.Errorf("connecting to broker %s as %s: %w", r.URL, r.User.public, err)
	}
	return nc, nil
}

// complainEvery bounds how often the same failure to connect is logged.
const complainEvery = time.Minute

func complain(r Remote, log *slog.Logger) nats.ConnErrHandler {
	var (
		last  string
		again time.Time
	)
	return func(_ *nats.Conn, err error) { // one call at a time
		if text := err.Error(); text != last || !time.Now().Before(again) {
			last, again = text, time.Now().Add(complainEvery)
			log.Warn("no connection to the broker, trying again", "url", r.URL, "error", err, "hint", Hint(err))
		}
	}
}

// Hint says what to do about a failure to connect.
func Hint(err error) string {
	var (
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		op        *net.OpError
	)
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return "the broker does not know this user's key: its entry there must have the public key of our nkey file"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the broker's certificate has expired, or this machine's clock is wrong: renew it, or set the clock"
	case errors.As(err, &authority):
		return "the broker's certificate is not from the authority in our configuration: compare the ca files of both sides"
	case errors.As(err, &name):
		return "the broker's certificate is for other host names: connect by one of those, or issue it for this host"
	case errors.As(err, &op) && op.Op == "remote error": // so crypto/tls calls what the other side says
		return "the broker refuses our certificate: is it expired, or from another authority?"
	}
	return "is the broker running, and can this machine reach its address?"
}

// options secure the connection, and refuse to do without where the network could listen.
func (r Remote) options() ([]nats.Option, error) {
	u, err := url.Parse(r.URL)
	switch {
	case err != nil: // which would show what was written
		return nil, errors.New("its address is no URL: write it as tls://host:port")
	case u.User != nil:
		return nil, errors.New("its address has a name or a password in it, which nothing here needs: write tls://host:port")
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q: write its address as tls://host:port", r.URL)
	}
	switch {
	case u.Scheme == "nats" && r.TLS == nil && IsLoopback(u.Hostname()):
		return nil, nil
	case u.Scheme == "nats":
		return nil, errors.New("without TLS only a broker on a loopback address is possible: write tls://, and give certificate files")
	case u.Scheme != "tls":
		return nil, fmt.Errorf("%s:// is no way to a broker: write tls://host:port", u.Scheme)
	case r.TLS == nil:
		return nil, errors.New("tls:// needs a certificate, its key, and the authority's certificate")
	}
	config, err := r.TLS.client()
	if err != nil {
		return nil, err
	}
	return []nats.Option{nats.Secure(config), nats.TLSHandshakeFirst()}, nil
}

// client is the configuration of a connection's own end.
func (t TLS) client() (*tls.Config, error) {
	pem, err := identity.ReadSmall(t.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", t.CA)
	}
	if _, err := t.Load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		RootCAs:              roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.Load() },
	}, nil
}

// Load reads the certificate and its key, which nobody else may be able to read.
func (t TLS) Load() (*tls.Certificate, error) {
	if err := identity.CheckPrivate(t.Key); err != nil {
		return nil, err
	}
	crt, err := identity.ReadSmall(t.Cert)
	if err != nil {
		return nil, err
	}
	key, err := identity.ReadSmall(t.Key)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	c, err := tls.X509KeyPair(crt, key)
	if err != nil {
		return nil, fmt.Errorf("loading %s and %s: %w", t.Cert, t.Key, err)
	}
	return &c, nil
}

// checkServer refuses a certificate that no client would believe.
func (t TLS) checkServer(now time.Time) error {
	c, err := t.Load()
	if err != nil {
		return err
	}
	if now.Before(c.Leaf.NotBefore) || now.After(c.Leaf.NotAfter) {
		return fmt.Errorf("the certificate %s is valid from %s to %s, and this machine's clock says %s: renew it, or set the clock", t.Cert,
			c.Leaf.NotBefore.UTC().Format(time.RFC3339), c.Leaf.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if !slices.Contains(c.Leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		return fmt.Errorf("the certificate %s is a client's: a broker needs one that was issued for its host names", t.Cert)
	}
	return nil
}

func options(user Key, log *slog.Logger, opts []nats.Option) []nats.Option {
	own := []nats.Option{
		user.Option(),
		nats.Name("weft"),
		nats.Timeout(5 * time.Second),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		// What could not be sent fails at once and is sent again by who knows whether it still matters; a buffer would
		// deliver it stale.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			a := []any{"connection", nc.Opts.Name, "error", err}
			if sub != nil {
				a = append(a, "subject", sub.Subject)
			}
			log.Warn("broker connection: a message was lost or refused", a...)
		}),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err != nil {
				log.Info("broker connection lost", "connection", nc.Opts.Name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("broker connection is back", "connection", nc.Opts.Name)
		}),
	}
	return append(own, opts...)
}
