package redshift

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	awsredshift "github.com/aws/aws-sdk-go-v2/service/redshift"
	"github.com/aws/aws-sdk-go-v2/service/redshiftserverless"
	"github.com/aws/smithy-go"
	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/window"
)

// identity is how a session logs in.
type identity struct {
	auth      string // password, cluster or serverless
	cluster   string
	workgroup string
	region    string
	database  string
}

var (
	clusterHost    = regexp.MustCompile(`^([a-z0-9-]+)\.[a-z0-9]+\.([a-z]{2}(?:-[a-z]+)+-\d)\.redshift\.amazonaws\.com(?:\.cn)?$`)
	serverlessHost = regexp.MustCompile(`^([a-z0-9-]+)\.\d{12}\.([a-z]{2}(?:-[a-z]+)+-\d)\.redshift-serverless\.amazonaws\.com(?:\.cn)?$`)
)

// readIdentity decides how to log in: by what the address says, else by the host's name.
func readIdentity(u *url.URL, q url.Values) (identity, error) {
	host := strings.ToLower(u.Hostname())
	id := identity{auth: q.Get("auth"), cluster: q.Get("cluster"), workgroup: q.Get("workgroup"), region: q.Get("region"), database: strings.Trim(u.Path, "/")}
	_, password := u.User.Password()
	byHost := ""
	if m := clusterHost.FindStringSubmatch(host); m != nil {
		byHost = "cluster"
		id.cluster, id.region = first(id.cluster, m[1]), first(id.region, m[2])
	} else if m := serverlessHost.FindStringSubmatch(host); m != nil {
		byHost = "serverless"
		id.workgroup, id.region = first(id.workgroup, m[1]), first(id.region, m[2])
	}
	if id.auth == "" {
		id.auth = "password"
		if !password && byHost != "" {
			id.auth = byHost
		}
	}
	switch {
	case id.auth == "password" && (!password || u.User.Username() == ""):
		return id, errors.New("the address has no user and password; add them, or auth=cluster or auth=serverless for temporary credentials by IAM")
	case id.auth != "password" && password:
		return id, errors.New("the address has a password and auth=" + id.auth + ": credentials by IAM replace it, remove one")
	case id.auth == "cluster" && id.cluster == "":
		return id, errors.New("auth=cluster needs cluster=..., the host's name does not say it")
	case id.auth == "serverless" && id.workgroup == "":
		return id, errors.New("auth=serverless needs workgroup=..., the host's name does not say it")
	}
	return id, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// login is a temporary user and password.
type login struct {
	user, password string
	until          time.Time
}

// credentials fetches logins and keeps the last one while it is good.
type credentials struct {
	identity
	mu   sync.Mutex
	last login
}

// leastLeft is how long a login must still be good for a new connection.
const leastLeft = 2 * time.Minute

// before sets the login of a connection that is about to be made.
func (c *credentials) before(ctx context.Context, cc *pgx.ConnConfig) error {
	if c.auth == "password" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Until(c.last.until) < leastLeft {
		l, err := c.fetch(ctx)
		if err != nil {
			return err
		}
		c.last = l
	}
	cc.User, cc.Password = c.last.user, c.last.password
	return nil
}

func (c *credentials) fetch(ctx context.Context) (login, error) {
	var opts []func(*awsconfig.LoadOptions) error
	if c.region != "" {
		opts = append(opts, awsconfig.WithRegion(c.region))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return login{}, fmt.Errorf("loading AWS settings: %w", err)
	}
	if cfg.Region == "" {
		return login{}, &window.RefusedError{What: "no AWS region is set", Hint: "add region=... to the warehouse address or set AWS_REGION"}
	}
	l, action, err := c.ask(ctx, cfg)
	if err != nil {
		return login{}, refusedByIAM(err, action)
	}
	return l, nil
}

// ask calls the API of the kind of warehouse. Serverless gives a user of its own making, a cluster too.
func (c *credentials) ask(ctx context.Context, cfg aws.Config) (login, string, error) {
	if c.auth == "serverless" {
		out, err := redshiftserverless.NewFromConfig(cfg).GetCredentials(ctx, &redshiftserverless.GetCredentialsInput{
			WorkgroupName: aws.String(c.workgroup), DbName: aws.String(c.database), DurationSeconds: aws.Int32(3600)})
		if err != nil {
			return login{}, "redshift-serverless:GetCredentials", err
		}
		return login{aws.ToString(out.DbUser), aws.ToString(out.DbPassword), aws.ToTime(out.Expiration)}, "", nil
	}
	out, err := awsredshift.NewFromConfig(cfg).GetClusterCredentialsWithIAM(ctx, &awsredshift.GetClusterCredentialsWithIAMInput{
		ClusterIdentifier: aws.String(c.cluster), DbName: aws.String(c.database), DurationSeconds: aws.Int32(3600)})
	if err != nil {
		return login{}, "redshift:GetClusterCredentialsWithIAM", err
	}
	return login{aws.ToString(out.DbUser), aws.ToString(out.DbPassword), aws.ToTime(out.Expiration)}, "", nil
}

// refusedByIAM marks what stays until a person acts. The SDK has retried the rest.
func refusedByIAM(err error, action string) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("fetching credentials of Redshift: %w", err)
	}
	code := api.ErrorCode()
	switch {
	case strings.Contains(code, "AccessDenied") || code == "NotAuthorized" || code == "UnauthorizedOperation":
		return &window.RefusedError{What: "AWS refuses credentials of Redshift (" + code + ")", Hint: "allow " + action + " to the identity that tidemill runs with"}
	case strings.Contains(code, "NotFound"):
		return &window.RefusedError{What: "AWS knows no such cluster or workgroup (" + code + ")", Hint: "mend cluster, workgroup or region in the warehouse address"}
	case code == "UnrecognizedClientException" || code == "InvalidClientTokenId" || code == "ExpiredToken" || code == "ExpiredTokenException" || code == "SignatureDoesNotMatch":
		return &window.RefusedError{What: "AWS does not accept the credentials that tidemill runs with (" + code + ")", Hint: "check the AWS_* variables, profile or role"}
	}
	return fmt.Errorf("fetching credentials of Redshift: %s: %w", code, err)
}
