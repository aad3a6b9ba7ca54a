ALTER TABLE "mart"."visits" RENAME COLUMN "id" TO "tidemill_old";
ALTER TABLE "mart"."visits" ADD COLUMN "id" bigint;
UPDATE "mart"."visits" SET "id" = "tidemill_old";
ALTER TABLE "mart"."visits" DROP COLUMN "tidemill_old";
ALTER TABLE "mart"."visits" ADD COLUMN "seen at" timestamp with time zone;
ALTER TABLE "mart"."visits" RENAME COLUMN "tag" TO "tidemill_old";
ALTER TABLE "mart"."visits" ADD COLUMN "tag" boolean;
UPDATE "mart"."visits" SET "tag" = "tidemill_old";
ALTER TABLE "mart"."visits" DROP COLUMN "tidemill_old";
