DROP TABLE travel.heartbeat, travel.bookings, travel.stories, travel.journeys,
    travel.partners, travel.users;
