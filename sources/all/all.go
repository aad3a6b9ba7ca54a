package all

import (
	"github.com/tidemill/tidemill/sources"
	"github.com/tidemill/tidemill/sources/dynamodb"
	"github.com/tidemill/tidemill/sources/mysql"
)

// Sources returns every kind of source.
func Sources() sources.Set {
	return sources.Set{
		mysql.Kind(),
		dynamodb.Kind(),
	}
}
