DROP TABLE travel.journey_points;
