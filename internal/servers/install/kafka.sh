# The broker is a set of jars from Maven; it runs on any Java 17 or newer.
KAFKA=4.3.1 LOG4J=2.25.4
have java || apt_install openjdk-17-jre-headless
have mvn || apt_install maven
K=$CACHE/kafka.new
rm -rf "$K"
mkdir -p "$K"
cat > "$K/pom.xml" <<POM
<project><modelVersion>4.0.0</modelVersion><groupId>k</groupId><artifactId>k</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$LOG4J</version></dependency>
</dependencies></project>
POM
cat > "$K/log4j2.xml" <<'LOG'
<Configuration><Appenders><Console name="out"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers></Configuration>
LOG
(cd "$K" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib >&2) ||
  die "Maven could not bring Kafka $KAFKA"
rm -rf "$CACHE/kafka"
mv "$K" "$CACHE/kafka"   # last step: a half-made tree is never taken for a whole one
