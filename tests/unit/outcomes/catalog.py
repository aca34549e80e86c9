"""Two models of orders: one knows an entity and amounts, the other neither."""

from __future__ import annotations

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    customProperties: [{property: missingValues, value: ["", "n/a"]}]
    properties:
      - name: ordered_at
        logicalType: timestamp
        required: true
        customProperties: [{property: eventTime, value: true}]
      - {name: customer, logicalType: string}
      - {name: shop, logicalType: integer, logicalTypeOptions: {maximum: 5}}
      - name: days
        logicalType: number
        logicalTypeOptions: {minimum: 0}
        customProperties: [{property: availableAtPrediction, value: false}]
      - {name: kept, logicalType: boolean, customProperties: [{property: availableAtPrediction, value: false}]}
"""
DAYS = """
name: days
dataset: orders
task: regression
label: {column: days}
features: [customer, shop]
entity: [customer, shop]
amount_unit: EUR
"""
KEPT = """
name: kept
dataset: orders
task: binary
label: {column: kept}
features: [customer, shop]
"""
