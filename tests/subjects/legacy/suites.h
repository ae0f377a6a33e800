/*
 * Every suite of the program; main.c runs them in its own order.
 */
#ifndef LEGACY_SUITES_H
#define LEGACY_SUITES_H

#include "harness.h"

extern const struct suite accounts_suite;
extern const struct suite customers_suite;
extern const struct suite orders_suite;
extern const struct suite catalog_suite;
extern const struct suite tenants_suite;
extern const struct suite inventory_suite;
extern const struct suite pricing_suite;
extern const struct suite preferences_suite;
extern const struct suite reports_suite;
extern const struct suite notifications_suite;
extern const struct suite jobs_suite;
extern const struct suite imports_suite;
extern const struct suite archive_suite;
extern const struct suite constraints_suite;
extern const struct suite ledger_suite;
extern const struct suite search_suite;
extern const struct suite transfers_suite;
extern const struct suite billing_suite;
extern const struct suite shipments_suite;
extern const struct suite dashboard_suite;
extern const struct suite logins_suite;
extern const struct suite cleanup_suite;

#endif
